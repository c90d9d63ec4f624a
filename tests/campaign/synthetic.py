"""Logs, statistics and housekeeping as a faultless bench would write them, made from the commanded structures."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from vison_etl.campaign.logged import logged_values, schema_of
from vison_etl.campaign.structures import structure
from vison_etl.instrument.blocks import offsets_adu
from vison_etl.instrument.chambers import actual_exptime_s, chamber
from vison_etl.instrument.hk import limits_performance

EXPOSURES = schema_of("exposures")
CCDS = ("CCD1", "CCD2", "CCD3")


class Bench:
    """Acquires tests one after the other; ``frame()`` is the table ``exposures`` of what it did."""

    def __init__(self, block: str = "NOSTROMO", chamber_name: str | None = "B_NOSTROMO", obsid: int = 1000) -> None:
        self.block, self.chamber = block, chamber_name
        self.obsid, self.now = obsid, datetime(2019, 3, 12, 8)  # noqa: DTZ001 - the bench writes no zone
        self.rows: list[dict[str, Any]] = []

    def wait(self, seconds: float) -> Bench:
        self.now += timedelta(seconds=seconds)
        return self

    def run(
        self,
        test: str,
        slots: Container[int] | None = None,
        *,
        variant: str = "default",
        profile: str = "B_NOSTROMO",
        change: Mapping[str, Any] | None = None,
        ccds: tuple[str, ...] = CCDS,
    ) -> Bench:
        """Acquire the commanded exposures of a test, or those of ``slots`` (0, 1, ...), with ``change`` in every log row."""
        columns = structure(test, profile, variant=variant).columns
        commanded = [column for column in columns for _ in range(column.frames)]
        for slot, column in enumerate(commanded):
            if slots is None or slot in slots:
                logged = logged_values(column) | {"test_in_log": test} | dict(change or {})
                self._expose(logged, ccds)
        return self

    def _expose(self, logged: Mapping[str, Any], ccds: tuple[str, ...]) -> None:
        fixed = {
            "block": self.block,
            "chamber": self.chamber,
            "block_source": "serials",
            "obsid": self.obsid,
            "day": "2019-03-12",
            "started_at": self.now,
        }
        self.rows += [{**dict.fromkeys(EXPOSURES), **logged, **fixed, "ccd": ccd} for ccd in ccds]
        self.obsid += 1
        self.now += timedelta(seconds=75 + (logged["exptime_s"] or 0.0))

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=EXPOSURES)


def statistics_of(exposures: pl.DataFrame, full_well_adu: float = 48_000.0) -> pl.DataFrame:
    """Return ``quadrant_stats`` of faultless frames of 256 x 256 image pixels."""
    rows = []
    for row in exposures.iter_rows(named=True):
        table = offsets_adu(row["block"]) or {}
        signal = _signal_adu(row, full_well_adu)
        for quadrant in "EFGH":
            offset = table.get((row["ccd"], quadrant), 2700.0) + 5.0
            for region, level, std, n in (
                ("pre", offset, 1.2, 21 * 256),
                ("img", offset + signal, 1.2 + signal**0.5 / 2, 246 * 256),
                ("ove", offset + 0.5, 1.2, 10 * 256),
            ):
                rows.append((row["obsid"], row["ccd"], quadrant, region, level, std, n))
    names = ["obsid", "ccd", "quadrant", "region", "mean_adu", "clipped_std_adu", "n"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        block=pl.lit(exposures["block"][0]),
        mean_adu_err=pl.col("clipped_std_adu") / pl.col("n").sqrt(),
        n_clipped=0,
        n_zero=0,
        n_saturated=0,
    )
    return _fitted(frame, "quadrant_stats")


def _fitted(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    wanted = schema_of(table)
    return frame.select((pl.col(k) if k in frame.columns else pl.lit(None)).cast(v).alias(k) for k, v in wanted.items())


def _signal_adu(row: Mapping[str, Any], full_well_adu: float) -> float:
    if not row["exptime_s"]:
        return 0.0
    profile = chamber(row["chamber"] or "B_NOSTROMO")
    open_s = actual_exptime_s(profile.name, row["exptime_s"]) or row["exptime_s"]
    return min(65536.0 * open_s / profile.flat_s[str(profile.slots[row["wave"]])], full_well_adu)


def hk_of(exposures: pl.DataFrame, temperature_degc: float = -120.0) -> pl.DataFrame:
    """Return ``hk_summary`` with every limited key in the middle of its performance limits, two readings each."""
    rows = []
    for row in exposures.unique("obsid", maintain_order=True).iter_rows(named=True):
        for limit in limits_performance("7.5.X"):
            middle = limit.lo if limit.hi is None else (limit.lo + limit.hi) / 2
            value = middle + ((row[limit.command_column] or 16.0) if limit.command_column else 0.0)
            value = temperature_degc if "CCD" in limit.key and "TEMP" in limit.key else value
            rows.append((row["obsid"], limit.key, 2, value, 0.0, value, value, value, value))
    names = ["obsid", "key", "n", "mean", "std", "min", "max", "first", "last"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        block=pl.lit("X"), day=pl.lit("d"), unit=pl.lit("")
    )
    return _fitted(frame, "hk_summary")
