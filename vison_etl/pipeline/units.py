"""Units of work: which frames make one measurement, and the key by which a finished unit is recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vison_etl.effects.declare import Measurement, Parameters
from vison_etl.pipeline.digest import digest_of

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Where a frame lies and what ingest found there."""

    path: str
    obsid: int
    ccd: str
    digest: str
    stamp: str
    vstart: int
    vend: int
    script_column: str = ""


@dataclass(frozen=True, slots=True)
class ProductRef:
    """Where a product of another run lies: absolute path, XXH3-128 of the file, and the run; None if the user named the file."""

    kind: str
    ccd: str
    path: str
    digest: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class UnitTask:
    """One unit of one measurement: all that a worker needs, and nothing else."""

    effect: str
    measurement: str
    key: str
    ccd: str
    script_column: str
    frames: tuple[FrameRef, ...]
    parameters: Parameters
    cards: Mapping[str, str | int | float | None]
    given: tuple[ProductRef, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the files a worker must see."""
        return tuple(frame.path for frame in self.frames) + tuple(product.path for product in self.given)

    @property
    def label(self) -> str:
        """Return the words that name this unit in messages."""
        first, last = self.frames[0].obsid, self.frames[-1].obsid
        span = f"{first}" if first == last else f"{first}-{last}"
        return f"{self.effect}.{self.measurement} {self.ccd} {self.script_column} obsid {span}"


def build_units(
    effect: str,
    measurement: Measurement,
    parameters: Parameters,
    exposures: pl.DataFrame,
    cards: Mapping[str, Any],
    products: Sequence[ProductRef] = (),
) -> list[UnitTask]:
    """Return the units of a measurement over the exposures of one acquisition, in order of acquisition.

    A frame that no unit can use (the odd one of a column, a lone one) makes none: the pairs are 1-2, 3-4, ... of a script column,
    and a group needs two frames. A unit of several columns goes by the first of them. Of ``products`` a unit gets those of its
    CCD that its measurement wants.
    """
    ordered = exposures.sort("script_column", "ccd", "obsid")
    by = ["ccd"] if measurement.unit == "columns" else ["ccd", "script_column"]
    tasks = []
    for (ccd, *_), rows in ordered.group_by(by, maintain_order=True):
        frames = [_frame(row) for row in rows.iter_rows(named=True)]
        if measurement.pairs_per_column:
            frames = frames[: 2 * int(parameters[measurement.pairs_per_column])]
        serial = rows.get_column(f"sn_{str(ccd).lower()}").drop_nulls()
        own_cards = {**cards, "CCD_SN": serial[0] if len(serial) else None}
        given = tuple(p for p in products if p.ccd == ccd and p.kind in measurement.wants)
        for chosen in _combine(measurement.unit, frames):
            key = unit_key(effect, measurement, parameters, chosen, given)
            column = chosen[0].script_column
            tasks.append(
                UnitTask(effect, measurement.name, key, str(ccd), column, chosen, parameters, own_cards, given)
            )
    return sorted(tasks, key=lambda task: (task.frames[0].obsid, task.ccd))


def _combine(unit: str, frames: Sequence[FrameRef]) -> Iterator[tuple[FrameRef, ...]]:
    if unit == "frame":
        yield from ((frame,) for frame in frames)
    elif unit == "pair":
        yield from zip(frames[0::2], frames[1::2], strict=False)
    elif unit == "columns":
        n_frames = Counter(frame.script_column for frame in frames)
        grouped = tuple(frame for frame in frames if n_frames[frame.script_column] > 1)
        if grouped:
            yield grouped
    elif len(frames) > 1:
        yield tuple(frames)


def _frame(row: Mapping[str, Any]) -> FrameRef:
    """Return where a frame lies; a log without read-out window means all rows, as it did for ingest."""
    return FrameRef(
        path=f"{row['root']}/{row['path']}",
        obsid=row["obsid"],
        ccd=row["ccd"],
        digest=row["digest"],
        stamp=row["file_stamp"],
        vstart=0 if row["vstart"] is None else row["vstart"],
        vend=row["image_rows"] + row["overscan_rows"] if row["vend"] is None else row["vend"],
        script_column=row["script_column"],
    )


def unit_key(
    effect: str,
    measurement: Measurement,
    parameters: Parameters,
    frames: Sequence[FrameRef],
    given: Sequence[ProductRef] = (),
) -> str:
    """Return the digest of inputs, parameters and version: the same key means the same numbers."""
    inputs: list[Any] = [(frame.obsid, frame.ccd, frame.digest, frame.vstart, frame.vend) for frame in frames]
    if measurement.unit == "columns":
        inputs.append([frame.script_column for frame in frames])
    if measurement.wants:
        inputs.append(sorted((product.kind, product.digest) for product in given))
    return digest_of([effect, measurement.name, measurement.version, dict(parameters), inputs])
