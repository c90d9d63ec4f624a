"""Charge that comes without light: dark current of the pixels and of the register, and stray light."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.setup import Setup
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

_BOLTZMANN_EV = 8.617e-5
_KELVIN = 273.15


@cache
def _warm_e_per_s(channel: Channel) -> float:
    rng = generator(stream(channel.seed, channel.block, Purpose.DARK, *channel.key))
    return uniform(rng, settings()["dark"]["warm_e_per_s"])


def dark_rate_e_per_s(channel: Channel, degc: float) -> float:
    """Return the dark current of a pixel, e-/s, at a temperature.

    D = D_cold + D_warm exp(-E/k (1/T - 1/T_warm)); the second part is below 1e-6 e-/s at operating temperature.
    """
    raw = settings()["dark"]
    inverse = 1.0 / (degc + _KELVIN) - 1.0 / (raw["warm_degc"] + _KELVIN)
    warm = _warm_e_per_s(channel) * float(np.exp(-raw["activation_ev"] / _BOLTZMANN_EV * inverse))
    return channel.dark_e_per_px_h / 3600.0 + warm


def exposed_s(geometry: Geometry, setup: Setup, exptime_s: float) -> NDArray[np.float64]:
    """Return how long each row of a quadrant collects charge, s, shape (hQ,).

    Row y waits for y rows to be read before it; rows of the parallel overscan pass through the whole image area and know
    nothing of the exposure.
    """
    y = np.arange(geometry.quadrant_rows)
    waiting = np.minimum(y, geometry.image_rows) * setup.row_s
    return np.asarray(waiting + np.where(y < geometry.image_rows, exptime_s, 0.0))


def dark_e(channel: Channel, geometry: Geometry, setup: Setup, exptime_s: float) -> Float32:
    """Return the mean dark charge of each row, electrons, shape (hQ,)."""
    rate = dark_rate_e_per_s(channel, setup.degc)
    return (rate * exposed_s(geometry, setup, exptime_s)).astype(np.float32)


def register_e(channel: Channel, setup: Setup) -> float:
    """Return the mean dark charge that a pixel gets in the serial register, electrons."""
    return float(settings()["dark"]["register_share"]) * dark_rate_e_per_s(channel, setup.degc) * setup.row_s


def stray_rate_e_per_s(environment: str) -> float:
    """Return the mean stray light, e-/s per pixel, in what the operator set up; the usual one for other notes."""
    raw = settings()["stray"]
    parts = raw["comments"].get(environment.split(" ", maxsplit=1)[0], ())
    return float(raw["usual"] + sum(raw[part] for part in parts))


def stray_e(channel: Channel, geometry: Geometry, setup: Setup, exptime_s: float) -> Float32:
    """Return the mean charge by stray light during the exposure, electrons, shape (1, W): a slope along x of mean 1."""
    slope = settings()["stray"]["gradient"]
    rng = generator(stream(channel.seed, channel.block, Purpose.STRAY, *channel.key))
    tilt = uniform(rng, [-slope, slope])
    x = (np.arange(geometry.image_columns) + 0.5) / geometry.image_columns - 0.5
    return (stray_rate_e_per_s(setup.environment) * exptime_s * (1.0 + tilt * x))[None, :].astype(np.float32)
