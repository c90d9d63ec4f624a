"""One block as the lake knows it: exposures, acquisitions found in them, decisions of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl.campaign.matching import find_acquisitions
from vison_etl.campaign.overrides import exclude_exposures
from vison_etl.lake.parts import partition_filters, partition_values, read
from vison_etl.lake.paths import Lake


@dataclass(frozen=True, slots=True)
class BlockView:
    """Exposures of a block with ``acquisition, test, script_column`` added, its acquisitions and overrides."""

    block: str
    exposures: pl.DataFrame
    acquisitions: pl.DataFrame
    overrides: pl.DataFrame

    def adopted(self, test: str) -> Mapping[str, Any] | None:
        """Return the adopted acquisition of a test, or None if the block has none."""
        rows = self.acquisitions.filter((pl.col("test") == test) & pl.col("is_adopted"))
        return None if rows.is_empty() else rows.row(0, named=True)

    def frames_of(self, acquisition: str) -> tuple[pl.DataFrame, list[tuple[Any, ...]]]:
        """Return the exposures of an acquisition that count, and the (obsid, ccd) pairs that people excluded."""
        mine = self.exposures.filter((pl.col("acquisition") == acquisition) & pl.col("script_column").is_not_null())
        left = exclude_exposures(mine, self.overrides)
        gone = mine.join(left, on=["obsid", "ccd"], how="anti").select("obsid", "ccd").sort("obsid", "ccd")
        return left, gone.rows()


def blocks_of(lake: Lake) -> list[str]:
    """Return the blocks that have exposures, sorted."""
    return sorted(partition_values(lake, "exposures", "block"))


def load_block(lake: Lake, block: str) -> BlockView:
    """Read a block and find its acquisitions."""
    exposures = read(lake, "exposures", **partition_filters(block=block)).sort("obsid", "ccd")
    overrides = read(lake, "overrides")
    matched = find_acquisitions(exposures, overrides)
    assigned = exposures.join(
        matched.assignment.select("obsid", "acquisition", "test", "script_column"),
        on="obsid",
        how="left",
        maintain_order="left",
    )
    return BlockView(block, assigned, matched.acquisitions, overrides)
