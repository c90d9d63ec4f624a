"""From what was found on the frames to the tables ``defects`` and ``defect_counts``."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.rows import result_frame

_KEY = ["ccd", "quadrant", "frames", "number"]


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """List the defects and give areas as parts of the image area.

    ``defect_counts``: one row per class; ``merged`` is the mask (a pixel bad in several ways counts once), ``reference_*`` what the fixed
    thresholds of earlier campaigns find. ``lost_pct`` = 100 n_pixels / pixels of the image area that were read.

    Flags: NO_DARKS and NO_FLATS (CCDs of which there were no frames without light, or no flats: half of the classes cannot occur).
    """
    found = inputs.measured["measured_defects"].sort(_KEY)
    listed = found.with_row_index("defect_id").rows(named=True)
    areas = inputs.measured["defect_areas"].sort("ccd", "quadrant", "kind")
    tables = {
        "defects": result_frame("defects", ({name: row[name] for name in _LISTED} for row in listed)),
        "defect_counts": result_frame("defect_counts", _counts(areas)),
    }
    return Calibrated(tables, tuple(_flags(areas)))


_LISTED = (
    "defect_id",
    "ccd",
    "quadrant",
    "kind",
    "x",
    "y",
    "width_px",
    "height_px",
    "value",
    "value_err",
    "frames",
    "significance",
    "n_px",
    "is_masked",
)


def _counts(areas: pl.DataFrame) -> Iterator[dict[str, object]]:
    for row in areas.iter_rows(named=True):
        yield {
            "ccd": row["ccd"],
            "quadrant": row["quadrant"],
            "kind": row["kind"],
            "n_pixels": row["n_px"],
            "n_columns": row["n_columns"],
            "lost_pct": 100.0 * row["n_px"] / row["n_image_px"] if row["n_image_px"] else None,
            "n_defects": row["n_defects"],
        }


def _flags(areas: pl.DataFrame) -> Iterator[Flag]:
    for name, column in (("NO_DARKS", "n_frames_dark"), ("NO_FLATS", "n_frames_flat")):
        ccds = areas.filter(pl.col(column) == 0).get_column("ccd").unique().sort().to_list()
        if ccds:
            yield Flag(name, len(ccds), ", ".join(ccds))
