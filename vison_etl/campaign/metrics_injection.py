"""Values of frames with injected charge, in the half of each CCD that the drain delay serves.

In frames with blocks of injected lines the 95th percentile of the image stands in for the level of the lines, which need the pixels:
it lies among them as long as they are more than a twentieth of the rows.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from vison_etl.campaign.columns import Column
from vison_etl.campaign.metrics_constants import constants
from vison_etl.campaign.metrics_input import CheckInput, as_values, of_image

_HALVES = {"EF": ("B", ("E", "F")), "GH": ("T", ("G", "H"))}
_SCHEMA = {
    "script_column": pl.String,
    "ccd": pl.String,
    "quadrant": pl.String,
    "is_whole": pl.Boolean,
    "expected_injection_adu": pl.Float64,
}


def injected_half(delay_us: float, phase_us: float) -> str | None:
    """Return the half of the CCDs into which charge is injected with this drain delay and phase time, ``EF`` or ``GH``."""
    for half, (first, last) in (("EF", (2.0, 3.0)), ("GH", (1.0, 2.0))):
        if phase_us > 0 and first < delay_us / phase_us < last:
            return half
    return None


def expected_level_adu(idl_v: float, ig1_v: float, ig2_v: float) -> float | None:
    """Return the level that these voltages inject, ADU; None where the drain does not surely feed the well, or near the notch.

    notch level + slope x max(0, IG2 - IG1), while IDL < IG1 + hold.
    """
    rules = constants()
    margin = rules.injection_margin_v
    if idl_v > ig1_v + rules.injection_hold_v - margin or abs(ig2_v - ig1_v) < margin:
        return None
    return rules.injection_notch_adu + rules.injection_slope_adu_per_v * max(0.0, ig2_v - ig1_v)


def _rows(column: Column) -> list[dict[str, Any]]:
    values: dict[str, Any] = dict(column.values)
    half = injected_half(float(values["id_dly"]), float(values["toi_ch"]))
    if half is None or not values["chinj"] or float(values["id_wid"]) < constants().injection_least_width_us:
        return []
    letter, quadrants = _HALVES[half]
    rows = []
    for ccd in (1, 2, 3):
        voltages = values["IDL"], values[f"IG1_{ccd}_{letter}"], values[f"IG2_{letter}"]
        level = expected_level_adu(*(float(value) for value in voltages))
        is_whole = int(values["chinj_of"]) == 0
        rows += [
            {"script_column": column.label, "ccd": f"CCD{ccd}", "quadrant": quadrant, "is_whole": is_whole,
             "expected_injection_adu": level} for quadrant in quadrants
        ]  # fmt: skip
    return rows


def _injected(data: CheckInput) -> pl.DataFrame:
    commanded = pl.DataFrame([row for column in data.columns for row in _rows(column)], schema=_SCHEMA)
    on = ["script_column", "ccd", "quadrant"]
    return of_image(data).join(commanded, on=on, how="inner", maintain_order="left")


def levels(data: CheckInput) -> pl.DataFrame:
    """Level of the injected lines above the serial overscan: the mean where all lines are injected, else the 95th percentile."""
    top = pl.when("is_whole").then("mean_adu").otherwise("p95_adu")
    return as_values(_injected(data).with_columns(value=top - pl.col("ove_adu")), "injection_adu")


def unknown_levels(data: CheckInput) -> pl.DataFrame:
    """Level of the injected lines where it is not known what is injected."""
    unknown = levels(data).filter(pl.col("expected_injection_adu").is_null())
    return as_values(unknown, "unknown_injection_adu")


def scatters(data: CheckInput) -> pl.DataFrame:
    """Scatter of the image, clipped, where all lines are injected."""
    whole = _injected(data).filter("is_whole", pl.col("expected_injection_adu").is_not_null())
    rows = whole.with_columns(value=pl.col("clipped_std_adu"))
    return as_values(rows, "injection_std_adu")


def channel_levels(data: CheckInput) -> pl.DataFrame:
    """Largest ratio of seen and expected level of a channel."""
    ratio = (pl.col("value") / pl.col("expected_injection_adu")).max().alias("value")
    known = levels(data).filter(pl.col("expected_injection_adu").is_not_null())
    return as_values(known.group_by("ccd", "quadrant", maintain_order=True).agg(ratio), "channel_injection")
