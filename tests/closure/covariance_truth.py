"""Pairs of flats from simulated photons whose charge builds up, with the covariances that theory expects of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.frames import SMALL
from vison_etl.instrument.geometry import QUADRANTS, geometry_of, place_quadrant
from vison_etl.pixels.lag_covariances import LAGS
from vison_etl.simulate.build_up import kernel
from vison_etl.simulate.detector import Channel, channel
from vison_etl.simulate.electronics import digitise, frame_offset_adu
from vison_etl.simulate.light import illumination, illumination_map, pixel_response, source_level
from vison_etl.simulate.quadrant import Options, collect
from vison_etl.simulate.streams import Purpose, state_of, stream
from vison_etl.simulate.theory import covariances_e2

SEED = 23
EDGE = 8
"""Charge builds up on an area larger by this on each side: pixels at its edge have no neighbours to push charge to."""

_LARGER = geometry_of(SMALL.naxis1 + 4 * EDGE, SMALL.naxis2 + 4 * EDGE)
_BLOCK = 16


@dataclass(frozen=True)
class Flats:
    """A pair of one CCD. ``truth``: covariances by quadrant in the order of ``LAGS``, ADU^2; ``mean_adu`` by quadrant."""

    first: np.ndarray
    second: np.ndarray
    truth: dict[str, np.ndarray]
    mean_adu: dict[str, float]


def mean_e(truth: Channel, level_adu: float) -> np.ndarray:
    """Return the mean charge of the pixels with a source of level 1."""
    light = illumination(truth.seed, truth.block, truth.ccd, "800")
    smooth = illumination_map(light, _LARGER, truth.quadrant) * pixel_response(truth, _LARGER)
    return smooth * np.float32(level_adu * truth.gain_e_per_adu)


def expected(truth: Channel, charge_e: np.ndarray) -> np.ndarray:
    """Return the covariances of one frame, ADU^2: photons in charge that builds up, noise of pixels and rows, quantisation."""
    inner = charge_e[EDGE:-EDGE, EDGE:-EDGE].astype(np.float64)
    side = inner.shape[0] // _BLOCK
    blocks = inner.reshape(side, _BLOCK, side, _BLOCK).mean(axis=(1, 3))
    photons = covariances_e2(kernel(truth.shift), blocks, 7).mean(axis=(0, 1)) / truth.gain_e_per_adu**2
    # at lag 8 they are below 1e-9 of the variance
    whole = np.pad(photons, ((0, 1), (0, 1)))
    values = np.array([whole[abs(y), x] for x, y in LAGS])
    values[[y == 0 for _, y in LAGS]] += truth.row_noise_adu**2
    values[0] += truth.ron_white_adu**2 + 1.0 / 12.0
    return values


def _exposure(truth: Channel, charge_e: np.ndarray, obsid: int, options: Options) -> np.ndarray:
    level = np.float32(source_level(truth.seed, truth.block, obsid))
    charge = collect(truth, charge_e * level, obsid, options)[EDGE:-EDGE, EDGE:-EDGE]
    noise = state_of(stream(truth.seed, truth.block, Purpose.AMPLIFIER, *truth.key, obsid))
    return digitise(charge, truth, SMALL, frame_offset_adu(truth, obsid, 0.0), (0, SMALL.quadrant_rows), noise)


def pairs(block: str, ccd: str, level_adu: float, n: int, first_obsid: int, particles: float = 0.07) -> Iterator[Flats]:
    """Yield pairs of one CCD at one signal, with ``particles`` tracks per quadrant and exposure: 0.07 in 40 s at sea level."""
    options = Options(step_e=2500.0, cosmics_per_quadrant=particles)
    truths = {quadrant: channel(SEED, block, ccd, quadrant) for quadrant in QUADRANTS}
    charges = {quadrant: mean_e(truth, level_adu) for quadrant, truth in truths.items()}
    for k in range(n):
        obsids = first_obsid + 2 * k, first_obsid + 2 * k + 1
        images = []
        for obsid in obsids:
            image = np.zeros((SMALL.naxis2, SMALL.naxis1), np.uint16)
            for quadrant, truth in truths.items():
                place_quadrant(image, SMALL, quadrant, _exposure(truth, charges[quadrant], obsid, options))
            images.append(image)
        level = np.float32(0.5 * sum(source_level(SEED, block, obsid) for obsid in obsids))
        charge = {quadrant: charges[quadrant] * level for quadrant in QUADRANTS}
        wanted = {quadrant: expected(truth, charge[quadrant]) for quadrant, truth in truths.items()}
        means = {
            quadrant: float(charge[quadrant][EDGE:-EDGE, EDGE:-EDGE].mean(dtype=np.float64)) / truth.gain_e_per_adu
            for quadrant, truth in truths.items()
        }
        yield Flats(images[0], images[1], wanted, means)
