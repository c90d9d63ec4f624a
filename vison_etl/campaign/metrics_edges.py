"""Values of the edges of the image: what the first pixel of the serial overscan holds."""

from __future__ import annotations

import polars as pl

from vison_etl.campaign.metrics_input import CheckInput, as_values, no_values


def first_responses(data: CheckInput) -> pl.DataFrame:
    """First serial overscan pixel over the level of the image, from all fluences; without the effect nothing to check."""
    rows = data.results.get("edge_response")
    if rows is None:
        return no_values()
    first = rows.filter(direction="serial", pixel=1)
    return as_values(
        first.with_columns(value=pl.col("response"), value_err=pl.col("response_err")), "hard_edge_response"
    )
