"""Latent charge: what an overfilling exposure leaves in traps of the pixels that it filled, and how it comes out again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.charge import spill
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.setup import Latent
from vison_etl.simulate.spots import add_mean_spots, spot_images
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

_KEPT = 24


@dataclass(frozen=True, slots=True)
class Persistence:
    """Latent charge of a channel: electrons trapped in each pixel that was filled, and the time in which they are released."""

    latent_e: float
    tau_s: float

    def released_e(self, delay_s: float, collected_s: float) -> float:
        """Return the electrons released within ``collected_s`` from ``delay_s`` after the overfilling exposure on.

        Q (exp(-delay / tau) - exp(-(delay + collected) / tau))
        """
        return self.latent_e * math.exp(-delay_s / self.tau_s) * -math.expm1(-collected_s / self.tau_s)


@cache
def persistence(channel: Channel) -> Persistence:
    """Draw the latent charge of a channel."""
    rng = generator(stream(channel.seed, channel.block, Purpose.PERSISTENCE, *channel.key))
    raw = settings()["persistence"]
    return Persistence(uniform(rng, raw["latent_e"]), uniform(rng, raw["tau_s"]))


@lru_cache(_KEPT)
def _filled(channel: Channel, geometry: Geometry, chamber_name: str, latent: Latent) -> NDArray[np.bool_]:
    charge = np.zeros((geometry.image_rows, geometry.image_columns), np.float32)
    light_s = latent.open_s * latent.level
    images = spot_images(
        channel, geometry, chamber_name, latent.label, light_s, latent.mirror_mm, latent.stage_px, latent.obsid
    )
    add_mean_spots(charge, images)
    spill(charge, channel.full_well_e)
    return charge >= channel.full_well_e


def filled_pixels(channel: Channel, geometry: Geometry, chamber_name: str, latent: Latent) -> NDArray[np.bool_]:
    """Tell which image pixels an overfilling exposure filled to the full well, shape (H, W)."""
    return _filled(channel, geometry, chamber_name, replace(latent, ended_s=0.0))


def add_latent(
    charge: Float32,
    channel: Channel,
    geometry: Geometry,
    chamber_name: str,
    latent: Latent,
    collected_s: float,
    obsid: int,
) -> None:
    """Add the latent charge released in one exposure to image pixels, in place, with Poisson noise."""
    filled = filled_pixels(channel, geometry, chamber_name, latent)
    mean_e = persistence(channel).released_e(latent.ended_s, collected_s)
    key = (*channel.key, obsid, latent.obsid)
    rng = generator(stream(channel.seed, channel.block, Purpose.LATENT_CHARGE, *key))
    charge[filled] += rng.poisson(mean_e, int(filled.sum())).astype(np.float32)
