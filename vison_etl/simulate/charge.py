"""Charge in the pixels after the exposure: particles, and spilling above the full well. Both keep account of every electron."""

from __future__ import annotations

import numpy as np
from numba import njit

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.settings import settings
from vison_etl.simulate.streams import Float32

SPILL_PASSES = 24


@njit(cache=True)
def _spill(charge: Float32, full_well_e: np.float32, passes: int) -> None:
    rows, columns = charge.shape
    zero, quarter = np.float32(0), np.float32(0.25)
    for _ in range(passes):
        arriving = np.zeros(columns, np.float32)
        for y in range(rows - 1):
            for x in range(columns):
                excess = max(charge[y, x] - full_well_e, zero)
                leaving = quarter * (excess - max(charge[y + 1, x] - full_well_e, zero))
                charge[y, x] += arriving[x] - leaving
                arriving[x] = leaving
        for x in range(columns):
            charge[rows - 1, x] += arriving[x]


def spill(charge: Float32, full_well_e: float, passes: int = SPILL_PASSES) -> None:
    """Let charge above the full well flow along the columns, in place.

    In every pass a quarter of the difference in excess, max(Q - full well, 0), flows between neighbours along y: excess
    spreads evenly up and down over sqrt(passes / 2) px, so the variance of a flat field falls above the full well. Nothing
    leaves the ends of a column: the sum is conserved.

    Parameters
    ----------
    charge
        Electrons, shape (rows, columns), changed in place.
    full_well_e
        Charge above which a pixel spills, e-.
    passes
        Number of passes.
    """
    if charge.max() > full_well_e:
        _spill(charge, np.float32(full_well_e), passes)


def particles_expected(geometry: Geometry, collected_s: float) -> float:
    """Return the mean number of particles in the image area of a quadrant, which collects charge for ``collected_s`` on average."""
    raw = settings()["cosmics"]
    area_cm2 = geometry.image_columns * geometry.image_rows * (1e-4 * raw["pixel_um"]) ** 2
    return float(raw["per_cm2_s"] * area_cm2 * collected_s)


def add_particles(charge: Float32, mean_number: float, rng: np.random.Generator) -> int:
    """Add the straight tracks of particles, in place.

    Parameters
    ----------
    charge
        Electrons, shape (rows, columns).
    mean_number
        Mean number of tracks in this image; their number follows Poisson's law.

    Returns
    -------
    int
        Number of tracks.
    """
    raw = settings()["cosmics"]
    rows, columns = charge.shape
    number = int(rng.poisson(mean_number))
    for _ in range(number):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        steps = np.arange(1 + int(rng.exponential(raw["length_px"])))
        x = np.floor(rng.uniform(0, columns) + steps * np.cos(angle)).astype(np.int64)
        y = np.floor(rng.uniform(0, rows) + steps * np.sin(angle)).astype(np.int64)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        electrons = rng.poisson(raw["charge_e_per_px"], int(inside.sum()))
        np.add.at(charge, (y[inside], x[inside]), electrons.astype(np.float32))
    return number
