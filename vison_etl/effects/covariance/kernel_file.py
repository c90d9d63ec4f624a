"""The kernel of the brighter-fatter effect as a product: layout of the file, and how it is read.

One file per CCD. For each quadrant Q, indexed [lag_y, lag_x] from (0, 0), lags of other signs being mirror images:

    KERNEL_Q, EKERNEL_Q   K, 1/e, and its error
    GROWTH_Q, EGROWTH_Q   how K grows per electron at the wall, 1/e^2, and its error; zero without error where c was held at zero

and the cards GAIN_Q, EGAIN_Q (e-/ADU), FIT_Q (status of the fit) and MAXADU_Q (highest mean signal of the pairs that it took, ADU).
Images are NaN, and the numbers of the cards undefined, where the fit is not ``ok``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.covariance.lags import Floats, mirrored
from vison_etl.effects.declare import Product
from vison_etl.pixels.walls import Walls, walls_of

KIND = "bfe_kernel"


@dataclass(frozen=True, slots=True, eq=False)
class QuadrantKernel:
    """What corrects one quadrant.

    ``kernel_per_e``, ``growth_per_e2`` and their errors: shape (r, r), indexed [lag_x, lag_y]; ``max_adu``: highest mean signal that
    they were measured at.
    """

    kernel_per_e: Floats
    kernel_per_e_err: Floats
    growth_per_e2: Floats
    growth_per_e2_err: Floats
    gain_e_per_adu: float
    gain_e_per_adu_err: float
    max_adu: float
    status: str

    @property
    def walls(self) -> Walls:
        """Return the walls of the kernel."""
        return walls_of(mirrored(self.kernel_per_e))

    @property
    def level_walls(self) -> Walls | None:
        """Return the walls of its growth; None where it does not grow."""
        return walls_of(mirrored(self.growth_per_e2)) if self.growth_per_e2.any() else None


_IMAGES = {
    "KERNEL": "kernel_per_e",
    "EKERNEL": "kernel_per_e_err",
    "GROWTH": "growth_per_e2",
    "EGROWTH": "growth_per_e2_err",
}
_NUMBERS = {"GAIN": "gain_e_per_adu", "EGAIN": "gain_e_per_adu_err", "MAXADU": "max_adu"}


def without_kernel(reach: int, status: str) -> QuadrantKernel:
    """Return what stands for a quadrant whose fit gave nothing."""
    none = np.full((reach, reach), math.nan)
    return QuadrantKernel(none, none, none, none, math.nan, math.nan, math.nan, status)


def product_of(ccd: str, quadrants: dict[str, QuadrantKernel]) -> Product:
    """Return the product of a CCD from its quadrants by name."""
    extensions = {
        f"{name}_{quadrant}": np.ascontiguousarray(getattr(found, field).T)
        for quadrant, found in quadrants.items()
        for name, field in _IMAGES.items()
    }
    cards: dict[str, str | int | float | bool | None] = {
        "BUNIT": "1/e",
        "LAGS": next(iter(extensions.values())).shape[0],
    }
    for quadrant, found in quadrants.items():
        cards[f"FIT_{quadrant}"] = found.status
        for name, field in _NUMBERS.items():
            value = float(getattr(found, field))
            cards[f"{name}_{quadrant}"] = value if math.isfinite(value) else None
    return Product(KIND, ccd, extensions, cards)


def kernel_of(product: Product, quadrant: str) -> QuadrantKernel | None:
    """Return the kernel of a quadrant; None where it has none.

    Raises
    ------
    ValueError
        If the product is of another layout.
    """
    try:
        value, value_err, growth, growth_err = (
            np.asarray(product.extensions[f"{name}_{quadrant}"], np.float64).T for name in _IMAGES
        )
        gain, gain_err, max_adu = (_number(product.cards[f"{name}_{quadrant}"]) for name in _NUMBERS)
        status = str(product.cards[f"FIT_{quadrant}"])
    except KeyError as missing:
        raise ValueError(
            f"a {KIND} of {product.ccd} without {missing}: analyse its test again with --force"
        ) from missing
    known = np.isfinite(value).all() and np.isfinite(growth).all() and gain > 0 and math.isfinite(max_adu)
    return QuadrantKernel(value, value_err, growth, growth_err, gain, gain_err, max_adu, status) if known else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
