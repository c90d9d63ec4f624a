"""How many pixels and columns each class of defect takes, and what fixed thresholds would have found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels import quality
from vison_etl.pixels.defect_classes import Defect, Found
from vison_etl.pixels.defect_pixels import counts_outside

REFERENCE_ADU = (-1000.0, 50.0)
REFERENCE_RESPONSE = (0.5, 1.5)
REFERENCE_COLUMN = 200
"""Fixed thresholds of earlier campaigns: residual and relative response inside these, and defects that make a column bad."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one group gave in one quadrant: ``frames`` is dark or flat; ``pixels`` (flat indices) and ``columns`` fixed thresholds mark."""

    frames: str
    defects: tuple[Defect, ...]
    pixels: NDArray[np.int64]
    columns: NDArray[np.int64]


def result_of(frames: str, found: Found) -> Result:
    """Keep what is counted of the defects of one group, with the marks of the fixed thresholds."""
    lo, hi = REFERENCE_ADU
    if frames == "flat":
        lo, hi = (limit - 1.0 for limit in REFERENCE_RESPONSE)
    marked = counts_outside(found.residual, lo, hi, REFERENCE_COLUMN)
    return Result(frames, found.defects, np.flatnonzero(marked["pixels"]), np.flatnonzero(marked["columns"]))


def areas(results: Sequence[Result], bits: NDArray[np.int16]) -> Iterator[dict[str, Any]]:
    """Yield pixels and columns of each class, of the mask (``merged``), and by fixed thresholds, of one quadrant.

    ``bits``: quality of the image area, all groups joined.
    """
    n_image = int(bits.size)
    for kind in sorted({defect.kind for one in results for defect in one.defects}):
        mine = [defect for one in results for defect in one.defects if defect.kind == kind]
        yield {
            "kind": kind,
            "n_defects": len(mine),
            "n_px": sum(defect.n_pixels for defect in mine),
            "n_columns": len(mine) if "column" in kind else 0,
            "n_image_px": n_image,
        }
    columns = np.flatnonzero(quality.any_in_column(bits, quality.BAD_COLUMN))
    yield _area("merged", int(np.count_nonzero(quality.is_bad(bits))), columns.size, n_image)
    for frames in sorted({one.frames for one in results}):
        yield _reference(f"reference_{frames}", [one for one in results if one.frames == frames], n_image)
    yield _reference("reference_merged", results, n_image)


def _reference(kind: str, results: Sequence[Result], n_image: int) -> dict[str, Any]:
    pixels, columns = (
        np.unique(np.concatenate(parts)) for parts in zip(*((r.pixels, r.columns) for r in results), strict=True)
    )
    return _area(kind, pixels.size, columns.size, n_image)


def _area(kind: str, n_px: int, n_columns: int, n_image: int) -> dict[str, Any]:
    return {"kind": kind, "n_defects": None, "n_px": n_px, "n_columns": n_columns, "n_image_px": n_image}
