"""Mean and variance of the tiles of a pair of equal exposures: the points of a photon-transfer curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.coordinates import canonical_to_ccd
from vison_etl.instrument.geometry import QUADRANTS, Geometry, Tile, region_window, tiles
from vison_etl.pixels import pair_kernels as kernels
from vison_etl.pixels.pair_sampling import AS_STORED, FROM_FILE, Decoding, Floats, Frame, box_levels

MIN_PIXELS = 100
"""Tiles with fewer usable pixels give counts and no moments: errors from so few are not normal."""

_Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairTiles:
    """Measurements of all tiles of one pair, one element per quadrant (E, F, G, H) and tile. NaN: not measured.

    ``mean_*`` in ADU with the offset removed, ``variance`` of one frame in ADU², read noise and quantisation included.
    ``corr_01`` and ``corr_10`` are the correlations of the difference with its +y and +x neighbour. ``noise_variance`` is the
    variance of one frame where no light falls: in the prescan of the tile's rows, the same for all tiles of these rows.
    """

    quadrant: NDArray[np.str_]
    tile: _Integers
    x: _Integers
    y: _Integers
    width_px: _Integers
    height_px: _Integers
    n: _Integers
    mean_1_adu: Floats
    mean_2_adu: Floats
    mean_adu: Floats
    mean_adu_err: Floats
    variance_adu2: Floats
    variance_adu2_err: Floats
    excess_kurtosis: Floats
    excess_kurtosis_err: Floats
    corr_01: Floats
    corr_01_err: Floats
    corr_10: Floats
    corr_10_err: Floats
    n_clipped: _Integers
    n_saturated: _Integers
    noise_variance_adu2: Floats
    noise_variance_adu2_err: Floats


def truncated_normal(clip: float) -> tuple[float, float]:
    """Return variance and excess kurtosis of a unit normal distribution cut at +-``clip``.

    The variance is 1 - 2 k phi(k) / (2 Phi(k) - 1); the fourth moment 3 - 2 (k³ + 3 k) phi(k) / (2 Phi(k) - 1).
    """
    tail = 2.0 * math.exp(-0.5 * clip * clip) / math.sqrt(2.0 * math.pi) / math.erf(clip / math.sqrt(2.0))
    variance = 1.0 - clip * tail
    return variance, (3.0 - (clip**3 + 3.0 * clip) * tail) / variance**2 - 3.0


def words_of(frame: NDArray[Any]) -> tuple[Frame, Decoding]:
    """Return the frame as native 16-bit words and how they become codes."""
    if frame.dtype == np.dtype(np.uint16):
        return frame, AS_STORED
    if frame.dtype == np.dtype(">i2"):
        return frame.view(np.uint16), FROM_FILE
    raise ValueError(f"frame of type {frame.dtype}: native uint16 or '>i2' as in the FITS file is wanted")


def pair_words(first: NDArray[Any], second: NDArray[Any], geometry: Geometry) -> tuple[Frame, Frame, Decoding]:
    """Return the frames of a pair as native 16-bit words and how they become codes.

    Raises
    ------
    ValueError
        If shapes or types are not those of a pair.
    """
    if not first.shape == second.shape == (geometry.naxis2, geometry.naxis1):
        raise ValueError(
            f"frames of shape {first.shape} and {second.shape}, geometry of {geometry.naxis1} x {geometry.naxis2} px"
        )
    (words_1, decoding), (words_2, decoding_2) = words_of(first), words_of(second)
    if decoding != decoding_2:
        raise ValueError(f"the frames of a pair differ in type: {first.dtype} and {second.dtype}")
    return words_1, words_2, decoding


def box_of(geometry: Geometry, quadrant: str, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Return row, column, height and width in the CCD frame of a canonical rectangle."""
    columns, rows = canonical_to_ccd(geometry, quadrant, [x, x + width - 1], [y, y + height - 1])
    return int(min(rows)), int(min(columns)), height, width


def prescan_boxes(
    geometry: Geometry, places: list[tuple[str, Tile]], window: tuple[int, int]
) -> tuple[_Integers, _Integers]:
    """Return the boxes of the prescan in the rows of the tiles, shape (m, 4), and which of them each tile has, -1 if none."""
    bands = {(quadrant, tile.y, tile.height): -1 for quadrant, tile in places}
    boxes: list[tuple[int, int, int, int]] = []
    for band in bands:
        quadrant, y, height = band
        pre = region_window(geometry, "pre", max(y, window[0]), min(y + height, window[1]))
        if pre is not None:
            bands[band] = len(boxes)
            boxes.append(box_of(geometry, quadrant, pre.x0, pre.y0, pre.x1 - pre.x0, pre.y1 - pre.y0))
    of_tile = [bands[quadrant, tile.y, tile.height] for quadrant, tile in places]
    return np.array(boxes, np.int64).reshape(-1, 4), np.array(of_tile, np.int64)


def of_bands(values: Floats, of_tile: _Integers) -> Floats:
    """Return the rows of ``values``, one per band of rows, for each tile; NaN where it has no band."""
    return np.vstack([values, np.full((1, values.shape[1]), np.nan)])[of_tile]


def measure_pair(
    first: NDArray[Any],
    second: NDArray[Any],
    geometry: Geometry,
    *,
    vstart: int = 0,
    vend: int | None = None,
    clip_sigma: float = 5.5,
) -> PairTiles:
    """Measure mean and variance of every tile of two equal exposures of one CCD.

    With m_i the mean of frame i in a tile, offset removed, and w_i = m_i / mean(m_1, m_2), the difference

        D = w_2 I_1 - w_1 I_2

    is free of illumination and fixed pattern. Of Poisson noise, var(I_i) = m_i / g, its variance is 2 w_1 w_2 mean / g, so
    that the variance of one frame at the mean signal is var(D) / (2 w_1 w_2), whatever the imbalance; read noise enters
    multiplied by (w_1² + w_2²) / (2 w_1 w_2), 1 + 2 d² at an imbalance of w = 1 -+ d. Where a mean is not above 5 sigma of one
    pixel, w = 1: then nothing has to be balanced and a ratio of noises would only harm.

    From D a plane is removed by least squares (n - 3 degrees of freedom) over the pixels within ``clip_sigma``, iterated
    from a robust start (median and MAD of about 900 pixels); the eight neighbours of a clipped pixel go with it, because a
    cosmic ray has tails. The variance is corrected for the truncation of the normal distribution. Means are those of the
    same pixels. Codes 0 and 65535 in either frame are left out.

    Errors: V sqrt(2 / (n - 1) + kappa / n), kappa the excess kurtosis where it is positive beyond 3 sigma and else 0; of the
    kurtosis sqrt(24 / n); of a correlation 1 / sqrt(number of products); of the mean, shot noise and offset.

    The noise without light is measured in the same way in the prescan of the tile's rows, from the plain difference (w = 1).

    Parameters
    ----------
    first, second
        CCD frames as stored, shape (NAXIS2, NAXIS1): native uint16, or '>i2' with BZERO 32768 as in the file.
    geometry
        Their geometry.
    vstart, vend
        Canonical rows kept; the offset is measured on those of a tile's rows.
    clip_sigma
        Clip, in standard deviations.
    """
    words_1, words_2, decoding = pair_words(first, second, geometry)
    window = (vstart, geometry.quadrant_rows if vend is None else vend)
    places = [(quadrant, tile) for quadrant in QUADRANTS for tile in tiles(geometry)]
    prescans, of_tile = prescan_boxes(geometry, places, window)
    levels = np.hstack([box_levels(words, prescans, decoding) for words in (words_1, words_2)])
    boxes = np.array([box_of(geometry, q, t.x, t.y, t.width, t.height) for q, t in places], np.int64)

    def measured(boxes: _Integers, offsets: Floats) -> Floats:
        if not boxes.size:
            return np.empty((0, kernels.N_QUANTITIES))
        truncation = truncated_normal(clip_sigma)
        return kernels.measure_boxes(words_1, words_2, boxes, offsets, decoding, clip_sigma, truncation, MIN_PIXELS)

    # about its own level a prescan has no signal, so that nothing is balanced there
    noise = measured(prescans, levels)[:, [kernels.VARIANCE, kernels.VARIANCE_ERR]]
    return _assemble(places, measured(boxes, of_bands(levels, of_tile)), of_bands(noise, of_tile))


def _assemble(places: list[tuple[str, Tile]], result: Floats, noise: Floats) -> PairTiles:
    def integers(column: int) -> _Integers:
        return result[:, column].astype(np.int64)

    corners = np.array([(t.index, t.x, t.y, t.width, t.height) for _, t in places], np.int64)
    return PairTiles(
        quadrant=np.array([quadrant for quadrant, _ in places]),
        tile=corners[:, 0],
        x=corners[:, 1],
        y=corners[:, 2],
        width_px=corners[:, 3],
        height_px=corners[:, 4],
        n=integers(kernels.N),
        mean_1_adu=result[:, kernels.MEAN_1],
        mean_2_adu=result[:, kernels.MEAN_2],
        mean_adu=0.5 * (result[:, kernels.MEAN_1] + result[:, kernels.MEAN_2]),
        mean_adu_err=result[:, kernels.MEAN_ERR],
        variance_adu2=result[:, kernels.VARIANCE],
        variance_adu2_err=result[:, kernels.VARIANCE_ERR],
        excess_kurtosis=result[:, kernels.KURTOSIS],
        excess_kurtosis_err=result[:, kernels.KURTOSIS_ERR],
        corr_01=result[:, kernels.CORR_Y],
        corr_01_err=result[:, kernels.CORR_Y_ERR],
        corr_10=result[:, kernels.CORR_X],
        corr_10_err=result[:, kernels.CORR_X_ERR],
        n_clipped=integers(kernels.N_CLIPPED),
        n_saturated=integers(kernels.N_SATURATED),
        noise_variance_adu2=noise[:, 0],
        noise_variance_adu2_err=noise[:, 1],
    )
