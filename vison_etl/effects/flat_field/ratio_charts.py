"""How a flat compares with one of another wavelength: what of the response is shared, and how much the ratio varies."""

from __future__ import annotations

import altair as alt
import polars as pl

from vison_etl.effects import charts as common
from vison_etl.effects.charts import Layered, Tables
from vison_etl.effects.figure import Figure
from vison_etl.tables import QUADRANTS

_PARTS = {
    "ratio_rms_pct": "rms of the ratio (%)",
    "correlation": "correlation (fraction shared)",
}


def ratio(tables: Tables) -> Figure | None:
    """Draw the table ``flat_ratio`` per channel, the script columns side by side; nothing without a flat of another wavelength."""
    frame = common.given(tables, "flat_ratio").drop_nulls("correlation")
    if frame.is_empty():
        return None
    panels = [_panel(frame, value, title) for value, title in _PARTS.items()]
    other = ", ".join(f"{value:g}" for value in frame["reference_wavelength_nm"].drop_nulls().unique().sort())
    return Figure(
        "flat_ratio",
        f"Response compared with that at {other} nm" if other else "Response compared with that of another flat",
        "Rms of the ratio of the two responses on scales below 25 px, and their correlation, the noise of both flats removed. At 1 all "
        "pixels differ alike at both wavelengths, as areas of pixels do; what depends on colour lowers it. A ratio whose "
        "variance is not positive has no rms. Bars: one sigma.",
        alt.vconcat(*panels),
        is_folded=True,
    )


def _panel(frame: pl.DataFrame, value: str, title: str) -> Layered:
    rows = common.with_bar(frame.drop_nulls(value), value).select(
        common.channel(), "quadrant", "script_column", "fluence_adu", value, f"{value}_err", "bar_lo", "bar_hi"
    )
    base = alt.Chart(common.compact(rows)).encode(
        common.channels(),
        xOffset=alt.XOffset("script_column:N", sort=rows["script_column"].unique().sort().to_list()),
        color=common.colour("quadrant", common.present(rows, "quadrant", QUADRANTS), "quadrant"),
    )
    points = base.mark_point(size=45).encode(
        alt.Y(f"{value}:Q", title=title, scale=common.free()),
        tooltip=common.tips("channel", "script_column", "fluence_adu", value, f"{value}_err"),
    )
    return alt.layer(common.bars(base), points).properties(width=common.WIDE, height=170)
