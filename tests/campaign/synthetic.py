"""Logs, statistics and housekeeping as a faultless bench would write them, made from the commanded structures."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from vison_etl.campaign import definitions
from vison_etl.campaign.commands import column_commands
from vison_etl.campaign.logged import logged_values, schema_of
from vison_etl.campaign.structures import structure, structures_of
from vison_etl.instrument.blocks import offsets_adu
from vison_etl.instrument.chambers import actual_exptime_s, chamber
from vison_etl.instrument.hk import limits_performance

EXPOSURES = schema_of("exposures")
CCDS = ("CCD1", "CCD2", "CCD3")


def acquirable(chamber_name: str = "B_NOSTROMO") -> list[str]:
    """Return the tests of all campaigns that follow a script and whose filters a chamber has."""
    labels = {str(label) for label in chamber(chamber_name).slots.values()}
    commanded = [name for name in definitions.test_names() if definitions.definition(name).is_commanded]
    return [name for name in commanded if {str(c["label"]) for c in column_commands(name) if c.get("label")} <= labels]


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


@dataclass(frozen=True)
class _Light:
    """What a quadrant shows above its offset: mean level, its scatter, the brightest pixel, scatter of all pixels, 95th percentile."""

    level: float = 0.0
    std: float = 1.2
    peak: float = 6.0
    whole_std: float = 1.2
    high: float = 2.0
    n_saturated: int = 0


def statistics_of(exposures: pl.DataFrame, full_well_adu: float = 48_000.0) -> pl.DataFrame:
    """Return ``quadrant_stats`` of faultless frames of 256 x 256 image pixels."""
    rows = []
    for row in exposures.iter_rows(named=True):
        table = offsets_adu(row["block"]) or {}
        for quadrant in "EFGH":
            offset = table.get((row["ccd"], quadrant), 2700.0) + 5.0
            seen = _light(row, quadrant, full_well_adu)
            for region, at, light, n in (
                ("pre", offset, _Light(), 21 * 256),
                ("img", offset, seen, 246 * 256),
                ("ove", offset + 0.5, _Light(), 10 * 256),
            ):
                level, whole = at + light.level, light.whole_std
                rows.append(
                    (row["obsid"], row["ccd"], quadrant, region, level, light.std, whole, at + light.peak,
                     at + light.high, light.n_saturated, n - light.n_saturated)
                )  # fmt: skip
    names = ["obsid", "ccd", "quadrant", "region", "mean_adu", "clipped_std_adu", "std_adu", "max_adu", "p95_adu"]
    frame = pl.DataFrame(rows, schema=[*names, "n_saturated", "n"], orient="row").with_columns(
        block=pl.lit(exposures["block"][0]),
        mean_adu_err=pl.col("clipped_std_adu") / pl.col("n").sqrt(),
        n_clipped=0,
        n_zero=0,
    )
    return _fitted(frame, "quadrant_stats")


def _fitted(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    wanted = schema_of(table)
    return frame.select((pl.col(k) if k in frame.columns else pl.lit(None)).cast(v).alias(k) for k, v in wanted.items())


def _light(row: Mapping[str, Any], quadrant: str, full_well_adu: float) -> _Light:
    if row["chinj"]:
        return _injected(row, quadrant)
    if not row["exptime_s"] or not _is_open(row):
        return _Light()
    profile = chamber(row["chamber"] or "B_NOSTROMO")
    label = str(profile.slots[row["wave"]])
    open_s = actual_exptime_s(profile.name, row["exptime_s"]) or row["exptime_s"]
    if row["source"] == "point":
        return _spots(open_s / profile.point_s[label], full_well_adu)
    level = min(65536.0 * open_s / profile.flat_s[label], full_well_adu)
    noise = 1.2 + level**0.5 / 2
    return _Light(level, noise, level + 5 * noise, noise, level + 2 * noise)


def _is_open(row: Mapping[str, Any]) -> bool:
    """Tell whether the shutter was operated, which no log says; open where the column is not known."""
    if row.get("script_column") is None:
        return True
    columns = structures_of(row["test_in_log"], row["chamber"])[0].columns
    return next(c.values["shuttr"] for c in columns if c.label == row["script_column"]) != 0


def _spots(fluence: float, full_well_adu: float) -> _Light:
    """Five round spots of 2 px FWHM; far above full well they bleed over a tenth of the quadrant."""
    if fluence > 20:
        return _Light(peak=62_000.0, n_saturated=25 * 256)
    peak = min(58_000.0 * fluence, full_well_adu)
    power = 5 * math.pi * (2.0 / 2.3548) ** 2 * peak**2
    return _Light(level=0.4, peak=peak, whole_std=math.sqrt(1.2**2 + power / (246 * 256)))


def _injected(row: Mapping[str, Any], quadrant: str) -> _Light:
    """Charge in the half that the delay serves, if the drain is low enough; in blocks of lines, the mean is that of the others."""
    ratio, letter = row["id_dly_us"] / row["toi_ch_us"], "b" if quadrant in "EF" else "t"
    ig1, ig2 = row[f"ig1_{row['ccd'][-1]}_{letter}_v"], row[f"ig2_{letter}_v"]
    if not (2 < ratio < 3 if letter == "b" else 1 < ratio < 2) or row["idl_v"] > ig1 + 7.5:
        return _Light()
    level = 620.0 + 5900.0 * max(0.0, ig2 - ig1)
    if row["chinj_of"] == 0:
        return _Light(level, 0.06 * level, 1.3 * level, 0.06 * level, 1.1 * level)
    return _Light(0.3, 1.2, 1.2 * level, 0.4 * level, 1.05 * level)


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
