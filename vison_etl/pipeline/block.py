"""One block as the lake knows it: exposures, acquisitions found in them, decisions of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl.campaign.derived import sources_of, with_derived
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

    def acquisition(self, name: str) -> Mapping[str, Any] | None:
        """Return an acquisition by name, or None if the block has no such one."""
        rows = self.acquisitions.filter(pl.col("acquisition") == name)
        return None if rows.is_empty() else rows.row(0, named=True)

    def exposures_of(self, name: str) -> pl.DataFrame:
        """Return all exposures of an acquisition, or of those that it uses."""
        row = self.acquisition(name)
        return self.exposures.filter(pl.col("acquisition").is_in([name] if row is None else list(sources_of(row))))

    def overrides_for(self, acquisition: Mapping[str, Any]) -> pl.DataFrame:
        """Return the overrides as they apply to the exposures of an acquisition.

        Those that name a test or acquisition which uses the exposures of others apply to all of these; for any other test they are
        about exposures that do not exist.
        """
        if sources_of(acquisition) == (acquisition["acquisition"],):
            return self.overrides
        return self.overrides.with_columns(
            pl.when(pl.col(key) != acquisition[key]).then(key).alias(key) for key in ("test", "acquisition")
        )

    def frames_of(
        self, acquisition: str, overrides: pl.DataFrame | None = None
    ) -> tuple[pl.DataFrame, list[tuple[Any, ...]]]:
        """Return the exposures of an acquisition that count, and the exclusions that touch it, whole CCDs and channels alike."""
        decisions = self.overrides if overrides is None else overrides
        mine = self.exposures.filter((pl.col("acquisition") == acquisition) & pl.col("script_column").is_not_null())
        left = exclude_exposures(mine, decisions)
        if mine.is_empty():
            return left, []
        first, last = mine.select(pl.col("obsid").min(), pl.col("obsid").max().alias("last")).row(0)
        test = mine.get_column("test")[0]
        touching = decisions.filter(
            (pl.col("kind") == "exclude")
            & (pl.col("block").fill_null(self.block) == self.block)
            & (pl.col("test").fill_null(test) == test)
            & (pl.col("acquisition").fill_null(acquisition) == acquisition)
            & (pl.col("obsid_first").fill_null(first) <= last)
            & (pl.col("obsid_last").fill_null(last) >= first)
        )
        return left, touching.select(
            "test", "acquisition", "obsid_first", "obsid_last", "ccd", "quadrant"
        ).unique().rows()

    def extra_of(self, acquisition: str) -> pl.DataFrame:
        """Return the exposures of an acquisition that were not commanded, without excluded ones."""
        is_extra = (pl.col("acquisition") == acquisition) & pl.col("script_column").is_null()
        return exclude_exposures(self.exposures.filter(is_extra), self.overrides)


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
    return BlockView(block, assigned, with_derived(matched.acquisitions, overrides), overrides)
