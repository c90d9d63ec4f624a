"""What faults do to an exposure before and after the detector sees it: light, mirror and stage; then pixels."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.chambers import chamber
from vison_etl.instrument.geometry import QUADRANTS, Geometry, quadrant_view
from vison_etl.simulate.faults import Fault
from vison_etl.simulate.quadrant import Shot

LEAK_OF_FULL_WELL = 0.02
DIM, BRIGHT = 0.6, 1.4
DEFOCUS_MM = 2.0
MOVED_PX = 60.0
BACKGROUND_ADU = 300.0
OFFSET_ADU = 100.0
NOISE_ADU = 4.0
GRADIENT = 0.4
LOST_SIDE = 20
SATURATED_PART = 0.2
SATURATED = 65535
STUCK_BIT = 4

_OTHER_SOURCE = {"flat": "point", "point": "flat"}


def _lit(shot: Shot) -> Shot:
    """Return a dark shot with the flat source on behind an open shutter for a fiftieth of the time to full well."""
    times = chamber(shot.chamber).flat_s
    label = shot.label if shot.label in times else next(iter(times))
    return replace(shot, open_s=LEAK_OF_FULL_WELL * times[label], label=label, setup=replace(shot.setup, source="flat"))


def _defocused(shot: Shot) -> Shot:
    at_mm = shot.setup.mirror_mm
    if at_mm is None:
        at_mm = next(iter(chamber(shot.chamber).mirror_mm.values()))
    return replace(shot, setup=replace(shot.setup, mirror_mm=at_mm + DEFOCUS_MM))


def _moved(shot: Shot) -> Shot:
    x, y = shot.setup.stage_px
    return replace(shot, setup=replace(shot.setup, stage_px=(x + MOVED_PX, y + MOVED_PX)))


def _of_other_source(shot: Shot) -> Shot:
    return replace(shot, setup=replace(shot.setup, source=_OTHER_SOURCE.get(shot.setup.source, "flat")))


_SHOTS: Mapping[str, Callable[[Shot], Shot]] = {
    "source_on": _lit,
    "source_off": lambda shot: replace(shot, open_s=0.0),
    "wrong_source": _of_other_source,
    "dim_source": lambda shot: replace(shot, level=DIM * shot.level),
    "bright_source": lambda shot: replace(shot, level=BRIGHT * shot.level),
    "no_injection": lambda shot: replace(shot, setup=replace(shot.setup, injection=None)),
    "defocused": _defocused,
    "spots_moved": _moved,
}


def broken_shot(shot: Shot, faults: Sequence[Fault]) -> Shot:
    """Return an exposure of one CCD as its faults make it; what is logged stays as commanded."""
    for fault in faults:
        change = _SHOTS.get(fault.kind)
        shot = shot if change is None else change(shot)
    return shot


def _add(quadrant: NDArray[np.uint16], value: float | NDArray[np.float64]) -> None:
    read = quadrant != 0
    changed = np.clip(np.round(quadrant + np.asarray(value)), 1, SATURATED)
    quadrant[...] = np.where(read, changed, 0).astype(np.uint16)


def _damage(quadrant: NDArray[np.uint16], geometry: Geometry, fault: Fault, offset_adu: float) -> None:
    image = quadrant[: geometry.image_rows, geometry.prescan : geometry.prescan + geometry.image_columns]
    match fault.kind:
        case "lost_pixels":
            image[:LOST_SIDE, :LOST_SIDE] = 0
        case "dead_quadrant" | "dead_ccd":
            quadrant[quadrant != 0] = np.uint16(round(offset_adu))
        case "saturated":
            image[: int(np.ceil(SATURATED_PART * image.shape[0]))] = SATURATED
        case "high_background":
            _add(image, BACKGROUND_ADU)
        case "offset_jump":
            _add(quadrant, OFFSET_ADU)
        case "noisy":
            seed = [fault.obsid, zlib.crc32(f"{fault.ccd} {fault.quadrant}".encode())]
            rng = np.random.Generator(np.random.PCG64(seed))
            _add(quadrant, NOISE_ADU * rng.standard_normal(quadrant.shape))
        case "stuck_bit":
            quadrant[quadrant != 0] |= np.uint16(1 << STUCK_BIT)
        case "gradient":
            slope = GRADIENT * np.linspace(-1.0, 1.0, image.shape[1])[None, :]
            _add(image, slope * (image.astype(np.float64) - offset_adu))
        case _:
            pass


def damage_image(
    image: NDArray[np.uint16], geometry: Geometry, faults: Sequence[Fault], offsets: Mapping[str, float]
) -> None:
    """Apply the faults of one frame to its pixels, in place. Pixels that were not read stay 0.

    Parameters
    ----------
    image
        CCD frame, shape (NAXIS2, NAXIS1).
    offsets
        Offset of each quadrant, ADU: all that is left of a dead one.
    """
    for fault in faults:
        hit = QUADRANTS if fault.kind == "dead_ccd" else (fault.quadrant,)
        for name in hit:
            _damage(quadrant_view(image, geometry, name), geometry, fault, offsets[name])
