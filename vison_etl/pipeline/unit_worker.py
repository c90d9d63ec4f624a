"""What a worker does with one unit: open its frames, run the pure function, hand back columns and product files as bytes.

Nothing heavy but numpy and numba is imported here unless a unit makes a product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vison_etl.effects.declare import Columns, Extracted, Measurement, Product, RawFrame
from vison_etl.effects.registry import load
from vison_etl.elvis.files import file_stamp
from vison_etl.elvis.frames import open_frame, open_group
from vison_etl.pipeline.units import FrameRef, UnitTask


class ChangedFrameError(Exception):
    """A frame is no longer what ingest read."""


@dataclass(frozen=True, slots=True)
class UnitResult:
    """Columns by table, and product files as bytes by (kind, ccd)."""

    tables: Mapping[str, Columns]
    products: Mapping[tuple[str, str], bytes]


def run_unit(task: UnitTask) -> UnitResult:
    """Measure one unit. Raises what the readers raise; the caller turns it into a flag that names the unit."""
    measurement = _measurement(task)
    if measurement.unit == "group":
        extracted = _run_group(measurement, task)
    else:
        frames = [_read(frame) for frame in task.frames]
        extracted = measurement.function(*frames, task.parameters)
    products = {(product.kind, product.ccd): _serialise(product, task) for product in extracted.products}
    return UnitResult(extracted.tables, products)


def _measurement(task: UnitTask) -> Measurement:
    return next(m for m in load(task.effect).measurements if m.name == task.measurement)


def _run_group(measurement: Measurement, task: UnitTask) -> Extracted:
    for frame in task.frames:
        _require_unchanged(frame, file_stamp(Path(frame.path).stat()))
    first = task.frames[0]
    paths = [Path(frame.path) for frame in task.frames]
    with open_group(paths, [f.obsid for f in task.frames], first.ccd, first.vstart, first.vend) as group:
        extracted: Extracted = measurement.function(group, task.parameters)
    return extracted


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
