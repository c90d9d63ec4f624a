"""What is extracted from every frame of a functional check: levels of rows, noise of neighbours, bits of the ADC, compact sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, Extracted, Parameters, RawFrame
from vison_etl.instrument.geometry import QUADRANTS, REGIONS, Geometry, quadrant_view, region_window
from vison_etl.pixels.adc_bits import BITS, bit_counts, correlations
from vison_etl.pixels.clipping import CODES, QUANTISATION_VARIANCE, clipped_moments
from vison_etl.pixels.compact_sources import compact_sources
from vison_etl.pixels.first_overscan import first_response
from vison_etl.pixels.histograms import region_histograms
from vison_etl.pixels.row_levels import row_levels

PARAMETERS: Parameters = {"most_sources": 20, "max_edge_code": 40000.0}
_IMAGE = REGIONS.index("img")
_HALF_WIDTH = 2048
_Rows = list[dict[str, Any]]


def frame(taken: RawFrame, parameters: Parameters) -> Extracted:
    """Measure one frame of one CCD.

    Returns
    -------
    Extracted
        ``functional_noise`` (a row per quadrant and region), ``functional_rows`` (per quadrant and row read), ``functional_bits`` (per
        quadrant and bit), ``functional_sources`` (per quadrant and source found), ``functional_edges`` (per quadrant). Image rows are those of [vstart, vend) below the
        parallel overscan.
    """
    native = _native(taken.image)
    counts = region_histograms(taken.image, taken.geometry, taken.vstart, taken.vend)
    tables: dict[str, _Rows] = {name: [] for name in _NAMES}
    for q, quadrant in enumerate(QUADRANTS):
        keys = {"obsid": taken.obsid, "ccd": taken.ccd, "quadrant": quadrant}
        codes = quadrant_view(native, taken.geometry, quadrant)
        for region in REGIONS:
            window = region_window(taken.geometry, region, taken.vstart, taken.vend)
            if window is not None:
                tables["functional_noise"].append(keys | {"region": region} | _noise(codes[window.slices]))
        tables["functional_bits"] += [keys | row for row in _bits(counts[q, _IMAGE])]
        window = region_window(taken.geometry, "img", taken.vstart, taken.vend)
        if window is None:
            continue
        image = codes[window.slices]
        tables["functional_edges"].append(keys | _edge(codes[window.y0 : window.y1], taken.geometry, parameters))
        levels, errors, n = row_levels(image)
        tables["functional_rows"] += [
            keys | {"y": window.y0 + y, "level_adu": level, "level_adu_err": error, "n": number}
            for y, (level, error, number) in enumerate(zip(levels.tolist(), errors.tolist(), n.tolist(), strict=True))
        ]
        tables["functional_sources"] += [
            keys
            | {"rank": rank, "x": window.x0 + s.x, "y": window.y0 + s.y, "peak_adu": s.peak_adu, "sum_adu": s.sum_adu}
            for rank, s in enumerate(compact_sources(image, levels, int(parameters["most_sources"])))
        ]
    return Extracted({name: _columns(name, rows) for name, rows in tables.items()})


_NAMES = {
    "functional_noise": ("obsid", "ccd", "quadrant", "region", "noise_adu", "noise_adu_err", "n"),
    "functional_rows": ("obsid", "ccd", "quadrant", "y", "level_adu", "level_adu_err", "n"),
    "functional_bits": ("obsid", "ccd", "quadrant", "bit", "n", "n_set", "partner_bit", "partner_correlation"),
    "functional_sources": ("obsid", "ccd", "quadrant", "rank", "x", "y", "peak_adu", "sum_adu"),
    "functional_edges": ("obsid", "ccd", "quadrant", "response", "response_err", "n_rows"),
}


def _columns(table: str, rows: _Rows) -> Columns:
    return {name: [row[name] for row in rows] for name in _NAMES[table]}


def _native(image: NDArray[Any]) -> NDArray[np.uint16]:
    """Return a frame as native codes: itself, or a copy of integers of one as in the file."""
    if image.dtype == np.uint16:
        return image
    return np.asarray(image.astype(np.int16).view(np.uint16) ^ np.uint16(0x8000))


def _edge(rows: NDArray[np.uint16], geometry: Geometry, parameters: Parameters) -> dict[str, float | int | None]:
    found = first_response(rows, geometry, float(parameters["max_edge_code"]))
    if found is None:
        return {"response": None, "response_err": None, "n_rows": 0}
    return {"response": found.response, "response_err": found.error, "n_rows": found.n_rows}


def _noise(codes: NDArray[np.uint16]) -> dict[str, float | int | None]:
    """Return the noise of one pixel from differences of neighbours along rows, ADC rounding removed.

    Neighbours share row noise, offset and any slow structure: what is left is white read noise, shot noise of the charge, and the fixed
    pattern of pixels and columns. Differences overlap, so that their variance V is known to V sqrt(3/n). None where fewer than 100
    differences are, or the noise is no more than rounding.
    """
    left, right = codes[:, :-1], codes[:, 1:]
    valid = (left != 0) & (right != 0) & (left != CODES - 1) & (right != CODES - 1)
    steps = right[valid].astype(np.int32) - left[valid]
    steps = np.clip(steps, -_HALF_WIDTH, _HALF_WIDTH)
    found = clipped_moments(np.bincount(steps + _HALF_WIDTH, minlength=2 * _HALF_WIDTH + 1), -_HALF_WIDTH)
    nothing: dict[str, float | int | None] = {"noise_adu": None, "noise_adu_err": None, "n": found.n}
    if found.std is None or found.n < 100:
        return nothing
    variance = found.std**2 / 2.0 - QUANTISATION_VARIANCE
    if not variance > 0:
        return nothing
    error = found.std**2 / 2.0 * math.sqrt(3.0 / found.n)
    noise = math.sqrt(variance)
    return {"noise_adu": noise, "noise_adu_err": math.sqrt(variance + error) - noise, "n": found.n}


def _bits(histogram: NDArray[np.uint32]) -> _Rows:
    """Return a row per bit: how often it is set, and the bit it goes together with most."""
    counts = bit_counts(histogram)
    together = np.nan_to_num(correlations(counts), nan=0.0)
    partners = np.argmax(np.abs(together), axis=1)
    return [
        {
            "bit": bit,
            "n": counts.n,
            "n_set": int(counts.n_set[bit]),
            "partner_bit": int(partners[bit]),
            "partner_correlation": float(together[bit, partners[bit]]),
        }
        for bit in range(BITS)
    ]
