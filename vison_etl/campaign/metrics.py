"""Values that are checked, by name: functions of what a check may look at, and any number of any result table.

Every metric is a frame with ``metrics_input.VALUES``, one row per value. ``table.column`` is a metric too: the column of a result
table of the same run, its keys kept, rows without data left out, its error beside it; without that table there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from vison_etl.campaign import metrics_commands as commands
from vison_etl.campaign import metrics_edges as edges
from vison_etl.campaign import metrics_frames as frames
from vison_etl.campaign import metrics_injection as injection
from vison_etl.campaign import metrics_light as light
from vison_etl.campaign import metrics_spots as spots
from vison_etl.campaign.hk_metrics import readings
from vison_etl.campaign.metrics_input import CheckInput, as_values, context, no_values
from vison_etl.campaign.strict import RuleError, nearest
from vison_etl.tables import all_tables

METRICS: Mapping[str, Callable[[CheckInput], pl.DataFrame]] = {
    "exposures_found": commands.exposures_found,
    "exposures_extra": commands.exposures_extra,
    "command": commands.commands,
    "extra_of_other_source": commands.other_sources,
    "frames_of_other": commands.other_tests,
    "hk_readings": readings,
    "offset_adu": frames.offsets,
    "offset_gradient_adu": frames.gradients,
    "std_adu": frames.stds,
    "saturated_fraction": frames.saturated,
    "ccd_saturated_fraction": frames.ccd_saturated,
    "lost_pixels": frames.lost,
    "channel_offset_adu": frames.channel_offsets,
    "channel_std_adu": frames.channel_stds,
    "channel_signal": frames.channel_signals,
    "usable_channels": frames.usable_channels,
    "fluence_adu": light.fluences,
    "dark_signal_adu": light.dark_signals,
    "background_adu": light.backgrounds,
    "looks_like_other_source": light.wrong_sources,
    "source_level": light.source_levels,
    "edge_response.serial_first": edges.first_responses,
    "saturation_s": light.saturation_times,
    "spot_peak_adu": spots.peaks,
    "best_spot_peak": spots.best_peaks,
    "spot_flux_ratio": spots.flux_ratios,
    "spot_fwhm_px": spots.widths,
    "injection_adu": injection.levels,
    "unknown_injection_adu": injection.unknown_levels,
    "injection_std_adu": injection.scatters,
    "channel_injection": injection.channel_levels,
}
"""Metrics by name; those of single housekeeping keys are ``hk``, see ``hk_metrics``. One with a dot is made from that result table."""


def metric(where: str, name: str) -> Callable[[CheckInput], pl.DataFrame]:
    """Return a metric by name; ``RuleError`` names the nearest ones, with the place that asked for it."""
    if name in METRICS:
        return METRICS[name]
    source, _, column = name.partition(".")
    known = {f"{table.name}.{one.name}" for table in all_tables().values() for one in table.columns}
    if name not in known:
        raise RuleError(f"{where}: no metric {name!r}; nearest: {nearest(name, [*METRICS, *known])}")
    return lambda data: of_results(data, source, column)


def of_results(data: CheckInput, source: str, column: str) -> pl.DataFrame:
    """Return the values of one column of a result table of this run, with what was commanded where the table names exposures."""
    rows = data.results.get(source)
    if rows is None:
        return no_values()
    if "status" in rows.columns:
        rows = rows.filter(pl.col("status") != "no_data")
    if {"obsid", "ccd"} <= set(rows.columns):
        known = context(data)
        states = [name for name in known.columns if name not in rows.columns or name in {"obsid", "ccd"}]
        rows = rows.join(known.select(states), on=["obsid", "ccd"], how="left", maintain_order="left")
    error = f"{column}_err"
    value_err = pl.col(error) if error in rows.columns else pl.lit(None)
    return as_values(rows.with_columns(value=pl.col(column), value_err=value_err), column)
