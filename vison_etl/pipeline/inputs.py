"""Choice of inputs, one rule for all: what ``--set`` names, else the current product of that kind of the same block.

For the gain that product is the adopted one: the current PTC01 run, else the current PTC02 run at the wavelength nearest to
800 nm, of tests read out with the same serial timing (summing-well width and delay), on which the gain depends. Nothing else is ever
put in its place: without one the results in electrons are NULL and a flag says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import read_run_table
from vison_etl.pipeline.current import Run, current_run

KINDS = ("gain",)
_NEAREST_TO_NM = 800.0
_TIMING_RTOL = 0.005


class InputError(ValueError):
    """An input that was asked for and is not there; the message says what is."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a run: the gain per channel, and the runs it came from by kind."""

    gain: pl.DataFrame | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def choose_inputs(
    lake: Lake,
    needs: Sequence[str],
    chosen: Mapping[str, str],
    runs: Sequence[Run],
    gain_runs: Sequence[Run],
) -> Inputs:
    """Choose what the effects of a test need.

    Parameters
    ----------
    needs
        Kinds the effects declare.
    chosen
        Kind to run id, from ``--set``.
    runs
        All runs of the lake.
    gain_runs
        Current photon-transfer runs of the block under the same serial timing, the best first.

    Raises
    ------
    InputError
        If ``--set`` names a run that is not in the lake or has no such result.
    """
    if "gain" not in needs:
        return Inputs()
    sources = list(gain_runs)
    if "gain" in chosen:
        named = next((run for run in runs if run["run_id"] == chosen["gain"]), None)
        if named is None:
            raise InputError(
                f"--set gain={chosen['gain']}: no such run in {lake.root}: `vison-etl sql` lists them (table runs)"
            )
        sources = [named]
    frames: list[pl.DataFrame] = []
    used: list[str] = []
    for run in sources:
        rows = _gain_rows(lake, str(run["run_id"]))
        if frames:
            rows = rows.join(pl.concat(frames), on=["ccd", "quadrant"], how="anti")
        if not rows.is_empty():
            frames.append(rows)
            used.append(str(run["run_id"]))
    if "gain" in chosen and not frames:
        raise InputError(f"--set gain={chosen['gain']}: that run has no adopted gain")
    gain = pl.concat(frames).sort("ccd", "quadrant") if frames else None
    return Inputs(gain, {"gain": tuple(used)})


def _gain_rows(lake: Lake, run_id: str) -> pl.DataFrame:
    return adopted_rows(read_run_table(lake, run_id, "gain"))


def adopted_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return gain and a00 per ccd and quadrant from rows of table ``gain``: adopted models that did not fail."""
    good = pl.col("is_adopted") & pl.col("status").is_in(["ok", "bound"]) & pl.col("gain_e_per_adu").is_not_null()
    values = ("gain_e_per_adu", "gain_e_per_adu_err", "a00_per_e", "a00_per_e_err")
    return rows.filter(good).select("ccd", "quadrant", *values)


def rank_gain_runs(
    runs: Sequence[Run],
    acquisitions: Sequence[Mapping[str, Any]],
    overrides: pl.DataFrame,
    block: str,
    wavelengths_nm: Mapping[str, float],
) -> list[Run]:
    """Return the current runs that may give the gain of a block, the best first.

    ``wavelengths_nm`` maps the photon-transfer tests to their wavelength; PTC01 comes first, then the nearest to 800 nm (the shorter
    one of two equally near).
    """
    tests = sorted(
        wavelengths_nm, key=lambda t: (t != "PTC01", abs(wavelengths_nm[t] - _NEAREST_TO_NM), wavelengths_nm[t])
    )
    found = (current_run(runs, acquisitions, overrides, block, test) for test in tests)
    return [run for run in found if run is not None]


def same_timing(first: tuple[float | None, float | None], second: tuple[float | None, float | None]) -> bool:
    """Return whether two (summing-well width, delay) pairs in us agree; unknown ones agree with nothing but unknown."""
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and abs(a - b) <= _TIMING_RTOL * max(abs(a), abs(b)))
        for a, b in zip(first, second, strict=True)
    )
