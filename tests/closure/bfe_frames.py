"""Raw CCD frames of flats whose charge builds up under moving walls, four channels per CCD, and the same photons on walls at rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.closure.bfe_truth import channels
from tests.frames import ccd_frame, raw
from vison_etl.effects.declare import RawFrame
from vison_etl.instrument.geometry import geometry_of
from vison_etl.simulate.build_up import accumulate
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.streams import Purpose, state_of, stream

STEPS = 50
OFFSET_ADU = 2500.0
SIZE = 512
GEOMETRY = geometry_of(2 * (SIZE + 51 + 20), 2 * (SIZE + 20))


@dataclass(frozen=True)
class Detector:
    """A CCD of one block with its four channels by quadrant."""

    block: str
    ccd: str
    channels: dict[str, Channel]


def detectors(seed: int) -> list[Detector]:
    """Return six CCDs: 24 channels."""
    found = channels(seed)
    return [
        Detector(four[0].block, four[0].ccd, dict(zip("EFGH", four, strict=True)))
        for four in (found[k : k + 4] for k in range(0, len(found), 4))
    ]


def light_of(mean_e: float) -> np.ndarray:
    """Return the light of a lamp that is 4 % brighter in the middle, e-."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return (mean_e * (1.0 + 0.04 * np.sin(np.pi * x) * np.sin(np.pi * y))).astype(np.float32)


def frame(detector: Detector, mean_e: float, obsid: int, *, at_rest: bool = False) -> RawFrame:
    """Return a frame as in a file; the same photons and read noise whether the walls move or not."""
    quadrants = {}
    for quadrant, truth in detector.channels.items():
        rng = np.random.default_rng(stream(truth.seed, truth.block, Purpose.AMPLIFIER, *truth.key, obsid))
        state = state_of(stream(truth.seed, truth.block, Purpose.PHOTONS, *truth.key, obsid))
        charge = accumulate(light_of(mean_e), truth.shift.scaled(0.0 if at_rest else 1.0), STEPS, state)
        shape = GEOMETRY.quadrant_rows, GEOMETRY.quadrant_columns
        values = OFFSET_ADU + 1.3 * rng.standard_normal(shape)
        values[:SIZE, 51 : 51 + SIZE] += charge / truth.gain_e_per_adu
        quadrants[quadrant] = values
    return RawFrame(obsid, detector.ccd, raw(ccd_frame(GEOMETRY, quadrants)), GEOMETRY, 0, GEOMETRY.quadrant_rows)


def pairs(
    detector: Detector, levels_e: tuple[float, ...], n_pairs: int, *, at_rest: bool = False
) -> Iterator[tuple[int, RawFrame, RawFrame]]:
    """Yield level and frames of the pairs of all levels; exposures are numbered through."""
    for level, mean_e in enumerate(levels_e):
        for n in range(n_pairs):
            obsid = 100 + 2 * (n_pairs * level + n)
            one, two = (frame(detector, mean_e, number, at_rest=at_rest) for number in (obsid, obsid + 1))
            yield level, one, two
