"""Choice of products of other runs (mask, master bias, flat), one rule for all.

What ``--set KIND=`` names, a run or a file; else the current product of that kind of the same block acquired nearest in time
under the same read mode (flats: and wavelength), from tests that are analysed earlier; else none. Only tests of lower rank
count, so that no two runs wait for each other. The reference of a flat is a master flat of another wavelength, that nearest to
800 nm; it may be of the same rank if its test comes earlier by name. A kernel of the brighter-fatter effect may be that of the
test itself that has the frames: only tests on the frames of others correct with it, and they are analysed later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import xxhash

from vison_etl.campaign.definitions import definition, test_names
from vison_etl.effects.declare import Measurement
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.current import Run, current_run
from vison_etl.pipeline.inputs import InputError
from vison_etl.pipeline.units import ProductRef
from vison_etl.tables import CCDS

_OF_ONE_WAVELENGTH = frozenset({"flat", "master_flat"})
_REFERENCE = "reference_flat"
_OF_THE_SAME_FRAMES = frozenset({"bfe_kernel"})
_MADE_AS = {_REFERENCE: "master_flat"}
"""Kinds that are wanted for a purpose, and the kind that they are."""

_REFERENCE_NM = 800.0
_CCD_PLACE = "{ccd}"


def wanted_kinds(measurements: Iterable[Measurement]) -> tuple[str, ...]:
    """Return the kinds of products that measurements want, sorted."""
    return tuple(sorted({kind for m in measurements for kind in m.wants}))


def choose_products(
    lake: Lake,
    view: BlockView,
    test: str,
    kinds: Sequence[str],
    chosen: Mapping[str, str],
    exposures: pl.DataFrame,
) -> tuple[ProductRef, ...]:
    """Choose the products that a test wants.

    Parameters
    ----------
    kinds
        What its measurements want.
    chosen
        Kind to run id or path, from ``--set``. A path is of the CCD that its name tells, or has ``{ccd}`` in the place of it.
    exposures
        Those that are analysed.

    Raises
    ------
    InputError
        If ``--set`` names neither a run with such a product nor a file of a known CCD.
    """
    if not kinds:
        return ()
    runs = list_runs(lake)
    found: list[ProductRef] = []
    for kind in kinds:
        if kind in chosen:
            found += _named(lake, runs, kind, chosen[kind])
        else:
            found += _nearest(lake, view, runs, test, kind, exposures)
    return tuple(found)


def source_names(kinds: Sequence[str], products: Sequence[ProductRef]) -> dict[str, tuple[str, ...]]:
    """Return the sources by kind, as a run records what it read: run ids, or digests of files that the user named."""
    return {kind: tuple(sorted({p.run_id or p.digest for p in products if p.kind == kind})) for kind in kinds}


def input_rows(kinds: Sequence[str], products: Sequence[ProductRef]) -> list[dict[str, str | None]]:
    """Return the rows of ``run_inputs`` without run_id; a kind without product has one that says ``none``."""
    rows: list[dict[str, str | None]] = [
        {"kind": p.kind, "name": f"{p.ccd} {Path(p.path).name}", "source_run_id": p.run_id, "digest": p.digest}
        for p in products
    ]
    missing = [kind for kind in kinds if all(p.kind != kind for p in products)]
    return rows + [{"kind": kind, "name": "none", "source_run_id": None, "digest": None} for kind in missing]


def _named(lake: Lake, runs: Sequence[Run], kind: str, value: str) -> list[ProductRef]:
    if any(run["run_id"] == value for run in runs):
        found = _of_run(lake, value, kind)
        if not found:
            raise InputError(f"--set {kind}={value}: that run has no product {kind}")
        return found
    named = {ccd: Path(value.replace(_CCD_PLACE, ccd)) for ccd in CCDS} if _CCD_PLACE in value else _by_name(value)
    files = {ccd: path for ccd, path in named.items() if path.is_file()}
    if not files:
        raise InputError(
            f"--set {kind}={value}: neither a run of {lake.root} nor a file whose name has CCD1, CCD2 or CCD3 in it; "
            f"for all three write {_CCD_PLACE} in its place"
        )
    return [ProductRef(kind, ccd, str(path.resolve()), _digest(path), None) for ccd, path in files.items()]


def _by_name(value: str) -> dict[str, Path]:
    match = re.search(r"CCD[123]", Path(value).name)
    return {} if match is None else {match.group(): Path(value)}


def _digest(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(path.read_bytes())


def _of_run(lake: Lake, run_id: str, kind: str) -> list[ProductRef]:
    """Return the products of a run, in the order of their paths; a file that is gone is none."""
    rows = (
        read_run_table(lake, run_id, "products").filter(pl.col("kind") == _MADE_AS.get(kind, kind)).sort("ccd", "path")
    )
    return [
        ProductRef(kind, row["ccd"], str(lake.root / row["path"]), row["digest"], run_id)
        for row in rows.iter_rows(named=True)
        if (lake.root / row["path"]).is_file()
    ]


def _nearest(
    lake: Lake, view: BlockView, runs: Sequence[Run], test: str, kind: str, exposures: pl.DataFrame
) -> list[ProductRef]:
    acquisitions = view.acquisitions.to_dicts()
    known = set(test_names())
    candidates: list[tuple[float, timedelta, str, list[ProductRef]]] = []
    for other in sorted(set(view.acquisitions.get_column("test")) & known):
        if not _is_earlier(other, test, kind):
            continue
        run = current_run(runs, acquisitions, view.overrides, view.block, other)
        if run is None:
            continue
        theirs = view.exposures_of(str(run["acquisition"]))
        if not _may_serve(theirs, exposures, kind):
            continue
        products = _of_run(lake, str(run["run_id"]), kind)
        if products:
            off_nm = _from_reference(theirs) if kind == _REFERENCE else 0.0
            candidates.append((off_nm, _apart(theirs, exposures), other, products))
    return min(candidates, key=lambda candidate: candidate[:3])[3] if candidates else []


def _is_earlier(other: str, test: str, kind: str) -> bool:
    """Return whether a test is analysed before another, so that neither can wait for the other."""
    if other == test:
        return kind in _OF_THE_SAME_FRAMES
    ranks = definition(other).rank, definition(test).rank
    return ranks[0] < ranks[1] or (kind == _REFERENCE and ranks[0] == ranks[1] and other < test)


def _may_serve(theirs: pl.DataFrame, mine: pl.DataFrame, kind: str) -> bool:
    if kind != _REFERENCE:
        return _conditions(theirs, kind) == _conditions(mine, kind)
    one, other = (frame.get_column("wavelength_nm").unique() for frame in (theirs, mine))
    has_one_each = one.len() == 1 == other.len() and one.null_count() + other.null_count() == 0
    return has_one_each and one[0] != other[0] and _conditions(theirs, kind) == _conditions(mine, kind)


def _from_reference(exposures: pl.DataFrame) -> float:
    return abs(float(exposures.get_column("wavelength_nm")[0]) - _REFERENCE_NM)


def _conditions(exposures: pl.DataFrame, kind: str) -> dict[str, list[Any]]:
    """Return what must agree: all values that occur of the read mode, and of the wavelength where it matters."""
    names = ["rdmode", "wavelength_nm"] if kind in _OF_ONE_WAVELENGTH else ["rdmode"]
    return {name: exposures.get_column(name).unique().sort().to_list() for name in names}


def _apart(first: pl.DataFrame, second: pl.DataFrame) -> timedelta:
    """Return the time between the starts of two sets of exposures; the greatest there is where one is unknown."""
    one, other = (frame.get_column("started_at").min() for frame in (first, second))
    return abs(one - other) if isinstance(one, datetime) and isinstance(other, datetime) else timedelta.max
