"""Which runs may serve a job as inputs, and in which order the tests of a block are analysed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from vison_etl.campaign.definitions import definition, test_names
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.inputs import Inputs, choose_inputs, rank_gain_runs, same_timing

_GAIN_EFFECT = "photon_transfer"


def gain_candidates(
    lake: Lake, view: BlockView, needs: Sequence[str], chosen: Mapping[str, str], exposures: pl.DataFrame
) -> Inputs:
    """Choose the inputs of a test whose frames are ``exposures``."""
    if not needs:
        return Inputs()
    runs = list_runs(lake)
    acquisitions = view.acquisitions.to_dicts()
    ranked = rank_gain_runs(runs, acquisitions, view.overrides, view.block, gain_tests())
    mine = _timing(exposures)
    fitting = [
        run
        for run in ranked
        if same_timing(mine, _timing(view.exposures.filter(pl.col("acquisition") == run["acquisition"])))
    ]
    return choose_inputs(lake, needs, chosen, runs, fitting)


def gain_tests() -> dict[str, float]:
    """Return the tests that may give the adopted gain, with their wavelength: PTC01 and PTC02 at nominal conditions."""
    found = {}
    for name in test_names():
        wanted = definition(name)
        if wanted.gives_gain and wanted.label_nm is not None:
            found[name] = wanted.label_nm
    return found


def _timing(exposures: pl.DataFrame) -> tuple[float | None, float | None]:
    if exposures.is_empty():
        return None, None
    first = exposures.row(0, named=True)
    return first["swellw_us"], first["swelldly_us"]


def in_order(tests: Sequence[str]) -> list[str]:
    """Return tests in dependency order: masks, bias, photon transfer, the rest; those that use the frames of others after these."""
    return sorted(tests, key=_order)


def _order(test: str) -> tuple[int, bool, str]:
    known = definition(test)
    return max(definition(name).rank for name in (test, *known.frames_of)), not known.has_frames, test
