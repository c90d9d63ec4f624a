"""The truth of each read-out channel: what its silicon and its electronics are like. Depends on (seed, block) alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from vison_etl.instrument.blocks import offsets_adu
from vison_etl.simulate.build_up import BoundaryShift
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.streams import CCD_INDEX, QUADRANT_INDEX, Purpose, generator, stream


@dataclass(frozen=True, slots=True)
class SlowWave:
    """One slow wave of the offset: amplitude in ADU, period in hours, phase in radians."""

    amplitude_adu: float
    period_h: float
    phase: float


@dataclass(frozen=True, slots=True)
class OffsetTruth:
    """The electronic offset of a channel.

    At canonical (x, y) of a frame taken at time t (hours of a fixed epoch)::

        level + sum_k A_k sin(2 pi t / P_k + phase_k) + jitter(frame)
              + settling exp(-x / settling_px) + first_rows exp(-y / first_rows_px) + tilt x / wQ + column pattern(x)
    """

    level_adu: float
    waves: tuple[SlowWave, ...]
    jitter_adu: float
    settling_adu: float
    settling_px: float
    first_rows_adu: float
    first_rows_px: float
    tilt_adu: float
    column_rms_adu: float

    def drift_adu(self, time_h: float) -> float:
        """Return the slow part of the offset at a time."""
        return sum(w.amplitude_adu * math.sin(2.0 * math.pi * time_h / w.period_h + w.phase) for w in self.waves)


@dataclass(frozen=True, slots=True)
class Channel:
    """The truth of one channel.

    ``ron_white_e`` is the white noise of a pixel, ``row_noise_adu`` common to a row; both without quantisation. ``response``
    is the signal relative to what the chamber's table of saturation times says. ``full_well_e`` is where charge spills.
    """

    block: str
    ccd: str
    quadrant: str
    seed: int
    gain_e_per_adu: float
    ron_white_e: float
    row_noise_adu: float
    prnu_pct: float
    full_well_e: float
    shift: BoundaryShift
    dark_e_per_px_h: float
    response: float
    offset: OffsetTruth

    @property
    def ron_white_adu(self) -> float:
        """White part of the read-out noise, ADU."""
        return self.ron_white_e / self.gain_e_per_adu

    @property
    def ron_adu(self) -> float:
        """All random noise of a pixel between frames, quantisation apart, ADU."""
        return math.hypot(self.ron_white_adu, self.row_noise_adu)

    @property
    def a00_per_e(self) -> float:
        """Change of the area of a pixel per electron in it, 1/e; negative."""
        return -2.0 * (self.shift.near_x[0] + self.shift.near_y[0])

    @property
    def key(self) -> tuple[int, int]:
        """Integers of this channel in the keys of random streams."""
        return CCD_INDEX[self.ccd], QUADRANT_INDEX[self.quadrant]


def with_a00(channel: Channel, a00_per_e: float) -> Channel:
    """Return the channel with another strength of the brighter-fatter effect, same shape; ``a00_per_e`` <= 0."""
    return replace(channel, shift=unit_shift().scaled(-a00_per_e))


@cache
def unit_shift() -> BoundaryShift:
    """Return the boundary shifts of a channel with a00 = -1."""
    raw = settings()["boundary_shift"]
    return BoundaryShift(tuple(raw["near_x"]), tuple(raw["far_x"]), tuple(raw["near_y"]), tuple(raw["far_y"]))


@cache
def channel(seed: int, block: str, ccd: str, quadrant: str) -> Channel:
    """Draw the truth of one channel.

    Parameters
    ----------
    seed
        Seed of the simulation.
    block, ccd, quadrant
        Which channel. The offset lies within 30 ADU of the block's table, or of 2800 ADU for a block without one.
    """
    rng = generator(stream(seed, block, Purpose.CHANNEL, CCD_INDEX[ccd], QUADRANT_INDEX[quadrant]))
    ranges: Mapping[str, list[float]] = settings()["channel"]
    drawn = {name: uniform(rng, limits) for name, limits in ranges.items()}
    gain = drawn["gain_e_per_adu"]
    white_adu = math.sqrt(drawn["ron_adu"] ** 2 - drawn["row_noise_adu"] ** 2)
    raw = settings()["offset"]
    level = (offsets_adu(block) or {}).get((ccd, quadrant), raw["without_table_adu"]) + drawn["offset_deviation_adu"]
    waves = tuple(
        SlowWave(uniform(rng, raw["drift_adu"]), uniform(rng, period), uniform(rng, [0.0, 2.0 * math.pi]))
        for period in raw["drift_period_h"]
    )
    return Channel(
        block=block,
        ccd=ccd,
        quadrant=quadrant,
        seed=seed,
        gain_e_per_adu=gain,
        ron_white_e=white_adu * gain,
        row_noise_adu=drawn["row_noise_adu"],
        prnu_pct=drawn["prnu_pct"],
        full_well_e=drawn["full_well_adu"] * gain,
        shift=unit_shift().scaled(-drawn["a00_per_e"]),
        dark_e_per_px_h=drawn["dark_e_per_px_h"],
        response=drawn["response"],
        offset=OffsetTruth(
            level_adu=level,
            waves=waves,
            jitter_adu=raw["jitter_adu"],
            settling_adu=uniform(rng, raw["settling_adu"]),
            settling_px=raw["settling_px"],
            first_rows_adu=uniform(rng, raw["first_rows_adu"]),
            first_rows_px=raw["first_rows_px"],
            tilt_adu=uniform(rng, raw["tilt_adu"]),
            column_rms_adu=raw["column_rms_adu"],
        ),
    )
