"""What is extracted from equal zero-second frames: temporal noise per pair of adjacent frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from vison_etl.effects.declare import Extracted, FrameGroup, Parameters
from vison_etl.effects.readout_noise.model import Components, Squares, components
from vison_etl.instrument.geometry import REGIONS
from vison_etl.pixels.differences import DifferenceSums, band_rows, difference_sums

COLUMNS = (
    "obsid_1",
    "obsid_2",
    "ccd",
    "quadrant",
    "region",
    "n",
    "n_rows",
    "n_columns",
    "mean_difference_adu",
    "mean_difference_adu_err",
    "variance_adu2",
    "variance_adu2_err",
    "row_variance_adu2",
    "row_variance_adu2_err",
    "column_variance_adu2",
    "column_variance_adu2_err",
    "n_clipped",
    "white_variance_adu2",
    "white_variance_adu2_err",
)
"""Columns of ``noise_pairs`` without those the engine adds."""


def noise(group: FrameGroup, parameters: Parameters) -> Extracted:  # noqa: ARG001 - the signature of a measurement
    """Measure the temporal noise of all adjacent pairs of a group of equal frames.

    Differences of frames 1-2, 2-3, ... of the CCD, in the regions pre, img, ove and pov of each quadrant; see
    :mod:`vison_etl.effects.readout_noise.model` for what is split from what. Pixels with code 0 or 65535 in either frame do not
    count, nor do those further than 4 sigma from the median difference (n_clipped; the loss is corrected).

    Returns
    -------
    Extracted
        Rows of ``noise_pairs``; none for one frame. A region that was not read has no row; one without valid pixels, or noisier than
        the histogram of differences is wide, has n and NULL for the rest.
    """
    geometry, obsids = group.geometry, group.obsids
    bands = group.bands(band_rows(len(obsids), geometry))
    rows: list[tuple[Any, ...]] = []
    for quadrant, sums in difference_sums(bands, geometry, group.vstart, group.vend):
        for pair, frames in enumerate(pairwise(obsids)):
            for r, region in enumerate(REGIONS):
                if sums.rows_read[r]:
                    rows.append((*frames, group.ccd, quadrant, region, *_measured(sums, pair, r)))
    return Extracted({"noise_pairs": {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}})


def _measured(sums: DifferenceSums, pair: int, region: int) -> tuple[int | float | None, ...]:
    """Return the values of one row, from n on."""
    at = (pair, region)
    clip = sums.clipped(*at)
    found = _components(sums, pair, region)
    pivot = float(sums.pivot[pair])
    mean = found.mean_difference
    return (
        clip.n,
        int(sums.n_rows[at]),
        int(sums.n_columns[at]),
        None if mean.value is None else pivot + mean.value,
        mean.error,
        *(number for part in (found.total, found.row, found.column) for number in (part.value, part.error)),
        clip.n_clipped + sums.n_outside(*at),
        found.white.value,
        found.white.error,
    )


def _components(sums: DifferenceSums, pair: int, region: int) -> Components:
    at = (pair, region)
    std = sums.clipped(*at).std if sums.covers_clip(*at) else None
    return components(
        Squares(
            n=int(sums.n[at]) if std is not None else 0,
            n_rows=int(sums.n_rows[at]) if std is not None else 0,
            n_columns=int(sums.n_columns[at]) if std is not None else 0,
            total=float(sums.total[at]),
            squares=float(sums.squares[at]),
            row_squares=float(sums.row_squares[at]),
            column_squares=float(sums.column_squares[at]),
            row_pixels=float(sums.row_pixels[at]),
            column_pixels=float(sums.column_pixels[at]),
            variance=0.0 if std is None else std**2,
        )
    )
