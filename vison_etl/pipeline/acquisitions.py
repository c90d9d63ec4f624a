"""The table of acquisitions: found again from the exposures of a block, written when it changed."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from vison_etl.campaign.derived import with_derived
from vison_etl.campaign.matching import find_acquisitions
from vison_etl.lake.parts import read, remove_part, write_part
from vison_etl.lake.paths import Lake

_PART = "000000"


def refresh_acquisitions(lake: Lake, blocks: Iterable[str]) -> None:
    """Find the acquisitions of blocks and bring the lake's table up to date; an unchanged table is left alone."""
    overrides = read(lake, "overrides")
    for block in sorted(set(blocks)):
        exposures = read(lake, "exposures", block=block)
        if exposures.is_empty():
            remove_part(lake.part("acquisitions", {"block": block}, _PART))
            continue
        found = with_derived(find_acquisitions(exposures, overrides).acquisitions, overrides)
        write_part(lake, "acquisitions", {"block": block}, _PART, found)


def acquisitions_of(lake: Lake, block: str) -> pl.DataFrame:
    """Return the acquisitions of a block as last written."""
    return read(lake, "acquisitions", block=block)
