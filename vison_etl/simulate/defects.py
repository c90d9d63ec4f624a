"""Pixels and columns that are not like the others. The same in every exposure of a block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

Kind = Literal["hot_pixel", "dim_pixel", "hot_column", "dim_column"]
_KEPT = 48


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect: rectangle in image pixels (canonical, without prescan), e-/s of hot ones, response of dim ones."""

    kind: Kind
    x: int
    y: int
    height_px: int
    value: float

    @property
    def is_hot(self) -> bool:
        """Whether it makes charge; else it loses light."""
        return self.kind.startswith("hot")


@lru_cache(_KEPT)
def defects(channel: Channel, geometry: Geometry) -> tuple[Defect, ...]:
    """Draw the defects of a channel. Columns are bad from a random row up to the far end, as those fed by one bad pixel."""
    rng = generator(stream(channel.seed, channel.block, Purpose.DEFECTS, *channel.key, geometry.image_columns))
    raw = settings()["defects"]
    columns, rows = geometry.image_columns, geometry.image_rows
    found = []
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("hot_pixel", "hot_pixels", "hot_e_per_s"),
        ("dim_pixel", "dim_pixels", "dim_response"),
        ("hot_column", "hot_columns", "hot_column_e_per_s"),
        ("dim_column", "dim_columns", "dim_column_response"),
    )
    for kind, number, strength in kinds:
        for _ in range(int(rng.poisson(raw[number]))):
            x, y = int(rng.integers(columns)), int(rng.integers(rows))
            lo, hi = raw[strength]
            is_hot = kind.startswith("hot")
            value = float(np.exp(uniform(rng, [np.log(lo), np.log(hi)]))) if is_hot else uniform(rng, [lo, hi])
            found.append(Defect(kind, x, y, rows - y if kind.endswith("column") else 1, value))
    return tuple(found)


def dim(mean_e: Float32, found: tuple[Defect, ...]) -> None:
    """Take light from the dim pixels of a mean image, in place, shape (H, W)."""
    for defect in found:
        if not defect.is_hot:
            mean_e[defect.y : defect.y + defect.height_px, defect.x] *= np.float32(defect.value)


def add_hot(charge: Float32, found: tuple[Defect, ...], exposed_s: Float32, rng: np.random.Generator) -> None:
    """Add the charge of hot pixels and columns, Poisson noise included, in place.

    Parameters
    ----------
    charge
        Electrons, shape (H, W).
    exposed_s
        How long each row collects charge, s, shape (at least H,).
    """
    for defect in found:
        if defect.is_hot:
            rows = slice(defect.y, defect.y + defect.height_px)
            charge[rows, defect.x] += rng.poisson(defect.value * exposed_s[rows]).astype(np.float32)
