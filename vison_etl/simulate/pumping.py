"""Traps, and the dipoles that pumping makes of them.

In a cycle of pumping a trap captures an electron with probability P and gives it up between two phase times t1 and t2
with probability exp(-t1/tau) - exp(-t2/tau) into the neighbour. After N cycles on a filled background::

    parallel   A = N P (exp(-t/tau) - exp(-2 t/tau))            t: phase time of pumping
    serial     A = N P (1 - exp(-(d + t_s)/tau))                d: dwell, t_s: phase time of the register

electrons have gone from one pixel to its neighbour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.setup import Pumping
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

_KEPT = 48
_PHASES = {"parallel": 4, "serial": 3}


@dataclass(frozen=True, slots=True)
class Trap:
    """One trap: image pixel (canonical, without prescan) of the dipole's half nearer to the node; y is 0 in the register."""

    direction: str
    x: int
    y: int
    phase: int
    tau_us: float
    probability: float


def _log_uniform(rng: np.random.Generator, limits: list[float]) -> float:
    return math.exp(uniform(rng, [math.log(limits[0]), math.log(limits[1])]))


@lru_cache(_KEPT)
def traps(channel: Channel, geometry: Geometry, direction: str) -> tuple[Trap, ...]:
    """Draw the traps of a channel, in the image (``parallel``) or in the register (``serial``), by rows and columns.

    No two lie in neighbouring pixels along the direction of transfer, so that their dipoles are apart.
    """
    raw, columns = settings()["trap"], geometry.image_columns
    rows = geometry.image_rows if direction == "parallel" else 1
    key = (*channel.key, columns, direction)
    rng = generator(stream(channel.seed, channel.block, Purpose.TRAPS, *key))
    number = int(rng.poisson(raw[f"{direction}_per_px"] * rows * columns))
    taken: set[tuple[int, int]] = set()
    found = []
    for _ in range(number):
        x = int(rng.integers(columns - (direction == "serial")))
        y = int(rng.integers(rows - 1)) if direction == "parallel" else 0
        tau_us = _log_uniform(rng, raw[f"{direction}_tau_us"])
        probability = uniform(rng, raw[f"{direction}_probability"])
        phase = int(rng.integers(1, _PHASES[direction] + 1))
        step = (0, 1) if direction == "parallel" else (1, 0)
        near = {(x + k * step[0], y + k * step[1]) for k in (-2, -1, 0, 1, 2)}
        if not near & taken:
            taken.add((x, y))
            found.append(Trap(direction, x, y, phase, tau_us, probability))
    return tuple(sorted(found, key=lambda trap: (trap.y, trap.x)))


def polarity(trap: Trap, mode: int) -> int:
    """Return the sign of the dipole that a pumping sequence makes: +1 bright nearer to the node, 0 for none."""
    modes = settings()["trap"][f"{trap.direction}_modes"]
    return int(modes.get(str(mode), {}).get(str(trap.phase), 0))


def amplitude_e(trap: Trap, pumping: Pumping) -> float:
    """Return the charge moved by pumping, electrons: the formulas above; the packet must hold it."""
    full = pumping.cycles * trap.probability
    if trap.direction == "parallel":
        t = pumping.time_us / trap.tau_us
        return full * (math.exp(-t) - math.exp(-2.0 * t))
    t = (pumping.time_us + settings()["trap"]["serial_toi_us"]) / trap.tau_us
    return full * -math.expm1(-t)


def pump(charge: Float32, channel: Channel, geometry: Geometry, pumping: Pumping, obsid: int) -> None:
    """Pump the charge of the image pixels, in place: every trap that the sequence sees takes from one pixel, gives to its neighbour.

    No pixel gives more than it has. A trap of the register does so in every row. The charge moved scatters by its root.
    """
    rng = generator(stream(channel.seed, channel.block, Purpose.PUMPING_NOISE, *channel.key, obsid, pumping.direction))
    for trap in traps(channel, geometry, pumping.direction):
        sign, mean_e = polarity(trap, pumping.mode), amplitude_e(trap, pumping)
        if pumping.direction == "parallel":
            low, high = charge[trap.y : trap.y + 1, trap.x], charge[trap.y + 1 : trap.y + 2, trap.x]
        else:
            low, high = charge[:, trap.x], charge[:, trap.x + 1]
        moved = mean_e + math.sqrt(mean_e) * rng.standard_normal(low.size)
        if sign:
            giving, getting = (high, low) if sign > 0 else (low, high)
            moved = np.clip(moved, 0.0, giving).astype(np.float32)
            giving -= moved
            getting += moved
