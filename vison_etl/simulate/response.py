"""From electrons to what the converter is given: the response of the chain, and how voltages and temperature change the gain."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vison_etl.instrument.geometry import RoeBoard
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.setup import Setup
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

FULL_SCALE_ADU = 65536.0


@cache
def cubic(channel: Channel) -> float:
    """Return the coefficient c of the response u (1 + c u^2), u in units of full scale."""
    rng = generator(stream(channel.seed, channel.block, Purpose.RESPONSE_CURVE, *channel.key))
    return uniform(rng, settings()["response"]["cubic"])


def seen_adu(channel: Channel, true_adu: ArrayLike, strength: float = 1.0) -> NDArray[np.float64]:
    """Return the signal above offset that a linear signal is converted to, ADU: u (1 + strength c u^2)."""
    u = np.asarray(true_adu, np.float64) / FULL_SCALE_ADU
    return np.asarray(FULL_SCALE_ADU * u * (1.0 + strength * cubic(channel) * u**2))


def nl_pct(channel: Channel, true_adu: ArrayLike, strength: float = 1.0) -> NDArray[np.float64]:
    """Return 100 (measured - linear) / linear, the line being the one of slope 1 at 20 % of measured full scale.

    With R(u) = u (1 + c u^2): R is scaled by 1 / R'(u_0), R(u_0) = 0.2.
    """
    c = strength * cubic(channel)
    reference = 0.2
    for _ in range(8):
        reference -= (reference * (1.0 + c * reference**2) - 0.2) / (1.0 + 3.0 * c * reference**2)
    u = np.asarray(true_adu, np.float64) / FULL_SCALE_ADU
    return np.asarray(100.0 * ((1.0 + c * u**2) / (1.0 + 3.0 * c * reference**2) - 1.0))


def respond(charge: Float32, channel: Channel, strength: float) -> None:
    """Bend charge as the chain does, in place: electrons that a linear chain would convert to the same code."""
    if strength == 0.0:
        return
    scale = np.float32(strength * cubic(channel) / (FULL_SCALE_ADU * channel.gain_e_per_adu) ** 2)
    charge *= np.float32(1.0) + scale * charge * charge


def in_condition(channel: Channel, setup: Setup) -> Channel:
    """Return the channel with the gain that it has at this reset drain and temperature; itself in nominal conditions.

    g = g_0 (1 + gain_per_v (RD - 16 V)) (1 + gain_per_degc (T + 120 degC)); noise in electrons stays.
    """
    raw = settings()["response"]
    rd_v = setup.rd_v[0 if channel.quadrant in RoeBoard.T.value else 1]
    factor = 1.0 + raw["gain_per_v"] * (rd_v - raw["nominal_rd_v"])
    factor *= 1.0 + raw["gain_per_degc"] * (setup.degc - raw["nominal_degc"])
    return channel if factor == 1.0 else replace(channel, gain_e_per_adu=channel.gain_e_per_adu * factor)
