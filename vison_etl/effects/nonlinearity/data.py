"""What a fit of the response is made from: exposures and tiles as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Lit exposures in order of time, arrays of length K.

    ``open_s``: commanded time plus the latency of the shutter's table, if there is one; ``hours``: start since the first; ``light``:
    index of the filter; ``level``: index of (filter, commanded time): equal exposures share it.
    """

    open_s: Floats
    hours: Floats
    light: Integers
    level: Integers

    @property
    def n_lights(self) -> int:
        """Return the number of filters."""
        return int(self.light.max()) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Tiles of one channel, S of them, in K exposures. Shapes (K, S) but for ``place``.

    ``signal_adu``: above offset and above the frames without light; NaN: does not count. ``n``: pixels. ``base_variance``: variance that
    the frames without light add, ADU²; ``noise_variance``: variance of one pixel without light, ADU². ``offset_variance``: of the
    offset of a frame, common to its tiles, ADU², shape (K,). ``place``: coordinates x, y, shape (S, 2), of mean 0 and rms 1.
    ``background_adu``: mean of the frames without light above the offset.
    """

    signal_adu: Floats
    n: Floats
    base_variance: Floats
    noise_variance: float
    offset_variance: Floats
    place: Floats
    background_adu: float

    @property
    def counts(self) -> Mask:
        """Tell which count, shape (K, S)."""
        return np.isfinite(self.signal_adu)


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """Relative variances by structure of the response finer than the knots of f, of each exposure, shape (K,).

    ``slope``: of the response across the signals of the tiles, ``tile``: of single tiles.
    """

    slope: Floats
    tile: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Random variances of a channel beside its read noise.

    ``per_adu``: variance of one pixel per ADU of signal (photon noise, 1/g), ADU; relative variances: ``tile`` of single tiles,
    ``channel`` of the whole channel, ``slope`` of a plane over it, per unit of place. ``structure``: None where there is none.
    """

    per_adu: float
    tile: float
    channel: float
    slope: float
    dof: int
    structure: Structure | None = None
