"""Data for the checks: clean as acquired, with means to break them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tests.campaign.synthetic import Bench, hk_of, statistics_of
from vison_etl.campaign.checks import RaisedFlag, check
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.limits import flag_table
from vison_etl.campaign.matching import find_acquisitions


@dataclass
class Data:
    """What a check looks at; tests break parts of it."""

    exposures: pl.DataFrame
    statistics: pl.DataFrame
    hk: pl.DataFrame
    acquisition: Mapping[str, Any]
    results: dict[str, pl.DataFrame]
    extra: pl.DataFrame

    def check(self) -> tuple[pl.DataFrame, dict[str, RaisedFlag]]:
        name = str(self.acquisition["test"])
        given = self.exposures, self.statistics, self.hk, self.acquisition, self.results, self.extra
        rows, flags = check(definition(name), *given)
        assert [flag.name for flag in flags] == [name for name in flag_table() if name in {f.name for f in flags}]
        return rows, {flag.name: flag for flag in flags}

    def where(self, **keys: Any) -> pl.Expr:
        return pl.all_horizontal(pl.col(key) == value for key, value in keys.items())

    def spoil(self, column: str, value: float | None, **keys: Any) -> Data:
        self.statistics = self.statistics.with_columns(
            pl.when(self.where(**keys)).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
        )
        return self

    def spoil_hk(self, column: str, value: float | None, **keys: Any) -> Data:
        self.hk = self.hk.with_columns(
            pl.when(self.where(**keys)).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
        )
        return self


def clean(test: str, bench: Bench | None = None, temperature_degc: float | None = None) -> Data:
    exposures = (bench or Bench().run(test)).frame()
    matched = find_acquisitions(exposures)
    acquisition = matched.acquisitions.filter(pl.col("is_adopted") & (pl.col("test") == test)).row(0, named=True)
    all_of_it = exposures.join(matched.assignment, on="obsid").filter(
        pl.col("acquisition") == acquisition["acquisition"]
    )
    mine = all_of_it.filter(pl.col("script_column").is_not_null())
    extra = all_of_it.filter(pl.col("script_column").is_null())
    degc = definition(test).ccd_temperature_degc if temperature_degc is None else temperature_degc
    return Data(mine, statistics_of(mine), hk_of(mine, degc), acquisition, {}, extra)
