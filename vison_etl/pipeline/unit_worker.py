"""What a worker does with one unit: open its frames, run the pure function, hand back columns and product files as bytes.

Nothing heavy but numpy and numba is imported here unless a unit makes a product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import xxhash

from vison_etl.effects.declare import Columns, Extracted, Given, Measurement, Product, RawFrame
from vison_etl.effects.registry import load
from vison_etl.elvis.bands import FrameBands
from vison_etl.elvis.files import file_stamp
from vison_etl.elvis.frames import open_frame, open_group
from vison_etl.pipeline.units import FrameRef, UnitTask

_MASK = "mask"


class ChangedFrameError(Exception):
    """A frame is no longer what ingest read."""


class ChangedProductError(Exception):
    """A product is no longer what the analysis chose."""


@dataclass(frozen=True, slots=True)
class UnitResult:
    """Columns by table, and product files as bytes by (kind, ccd)."""

    tables: Mapping[str, Columns]
    products: Mapping[tuple[str, str], bytes]


def run_unit(task: UnitTask) -> UnitResult:
    """Measure one unit. Raises what the readers raise; the caller turns it into a flag that names the unit."""
    measurement = _measurement(task)
    given = (_given(task),) if measurement.wants else ()
    if measurement.unit in {"group", "columns"}:
        extracted = _run_groups(measurement, task, given)
    else:
        frames = [_read(frame) for frame in task.frames]
        extracted = measurement.function(*frames, task.parameters, *given)
    tables, pending = extracted.tables, list(extracted.products)
    # images are let go one product after the other: the files are as large as they
    del extracted, given
    products: dict[tuple[str, str], bytes] = {}
    while pending:
        product = pending.pop(0)
        products[product.kind, product.ccd] = _serialise(product, task)
    return UnitResult(tables, products)


def _measurement(task: UnitTask) -> Measurement:
    return next(m for m in load(task.effect).measurements if m.name == task.measurement)


def _run_groups(measurement: Measurement, task: UnitTask, given: tuple[Given, ...]) -> Extracted:
    """Open the frames of each script column as a group, all at the same time, and run the function on one or all groups."""
    for frame in task.frames:
        _require_unchanged(frame, file_stamp(Path(frame.path).stat()))
    with ExitStack() as opened:
        groups = [
            opened.enter_context(_open(list(frames)))
            for _, frames in groupby(task.frames, key=lambda frame: frame.script_column)
        ]
        chosen = groups if measurement.unit == "columns" else groups[0]
        extracted: Extracted = measurement.function(chosen, task.parameters, *given)
    return extracted


def _open(frames: Sequence[FrameRef]) -> AbstractContextManager[FrameBands]:
    first = frames[0]
    paths, obsids = [Path(frame.path) for frame in frames], [frame.obsid for frame in frames]
    return open_group(paths, obsids, first.ccd, first.vstart, first.vend)


def _given(task: UnitTask) -> Given:
    """Read the products of other runs that the unit wants: several masks as one, of others that made of the nearest exposures."""
    found: dict[str, list[Path]] = {}
    for product in task.given:
        path = Path(product.path)
        if xxhash.xxh3_128_hexdigest(path.read_bytes()) != product.digest:
            raise ChangedProductError(f"{path}: changed since it was chosen; run the analysis again")
        found.setdefault(product.kind, []).append(path)
    return {kind: _read_product(kind, task, paths) for kind, paths in found.items()}


_IMAGE_OF = {"master_bias": ("STACK",), "reference_flat": ("FLAT",)}
"""Extensions that measurements use of a kind with many: the memory of a worker is bounded."""


def _read_product(kind: str, task: UnitTask, paths: Sequence[Path]) -> Product:
    from vison_etl.products.fits import read  # noqa: PLC0415 - astropy is slow to import and seldom needed
    from vison_etl.products.masks import read_masks  # noqa: PLC0415

    if kind == _MASK:
        file = read_masks(paths)
    else:
        nearest = (
            min(paths, key=lambda path: (_apart(read(path, ()).cards, task), path)) if len(paths) > 1 else paths[0]
        )
        file = read(nearest, _IMAGE_OF.get(kind))
    return Product(kind, task.ccd, file.extensions, file.cards)


def _apart(cards: Mapping[str, Any], task: UnitTask) -> float:
    """Return the exposures between those of a product and those of a unit: they are numbered as time goes."""
    first, last = cards.get("OBSFIRST"), cards.get("OBSLAST")
    if not isinstance(first, int) or not isinstance(last, int):
        return math.inf
    return max(0, first - task.frames[-1].obsid, task.frames[0].obsid - last)


def _read(frame: FrameRef) -> RawFrame:
    opened = open_frame(Path(frame.path))
    if opened.digest != frame.digest:
        raise ChangedFrameError(f"{frame.path}: changed since it was ingested; run ingest again")
    return RawFrame(frame.obsid, frame.ccd, opened.raw, opened.geometry, frame.vstart, frame.vend)


def _require_unchanged(frame: FrameRef, stamp: str) -> None:
    if stamp != frame.stamp:
        raise ChangedFrameError(f"{frame.path}: changed since it was ingested; run ingest again")


def _serialise(product: Product, task: UnitTask) -> bytes:
    from vison_etl.products.fits import to_bytes  # noqa: PLC0415 - astropy is slow to import and seldom needed

    return to_bytes(product.extensions, {**task.cards, **product.cards, "UNITKEY": task.key})
