"""Charge on its way to the node: a little is left behind at each transfer; and the amplifier has not quite forgotten the pixel before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.streams import Float32, Purpose, generator, stream

TAIL_PX = 8
"""Length of the tails of deferred charge, px."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Transfer of a channel: charge left behind per pixel, along columns and along the register, and the bounce of the amplifier."""

    parallel_cti: float
    serial_cti: float
    bounce: float


@cache
def transfer(channel: Channel) -> Transfer:
    """Draw the transfer of a channel."""
    rng = generator(stream(channel.seed, channel.block, Purpose.TRANSFER, *channel.key))
    raw = settings()["transfer"]
    return Transfer(uniform(rng, raw["parallel_cti"]), uniform(rng, raw["serial_cti"]), uniform(rng, raw["bounce"]))


@cache
def tail(direction: str) -> Float32:
    """Return how deferred charge is spread over the pixels that follow, shape (TAIL_PX,), of sum 1."""
    weights = np.exp(-np.arange(TAIL_PX) / settings()["transfer"][f"{direction}_release_px"])
    return np.asarray(weights / weights.sum(), np.float32)


@njit(cache=True)
def _moved(
    charge: Float32,
    parallel: Float32,
    serial: Float32,
    overfull: Float32,
    full_well: np.float32,
    weights_y: Float32,
    weights_x: Float32,
    bounce: np.float32,
    out: Float32,
) -> None:
    rows, columns = charge.shape
    out_rows, out_columns = out.shape
    one, zero = np.float32(1.0), np.float32(0.0)
    line = np.empty(out_columns, np.float32)
    for y in range(out_rows):
        line[:] = np.float32(0.0)
        if y < rows:
            for x in range(columns):
                line[x] = charge[y, x] * (one - parallel[y])
                line[x] -= overfull[y] * max(charge[y, x] - full_well, zero)
        for k in range(1, weights_y.size + 1):
            if 0 <= y - k < rows:
                share = weights_y[k - 1] * parallel[y - k]
                spilt = weights_y[k - 1] * overfull[y - k]
                for x in range(columns):
                    line[x] += share * charge[y - k, x]
                    line[x] += spilt * max(charge[y - k, x] - full_well, zero)
        for x in range(out_columns):
            value = line[x] * (one - serial[x])
            for k in range(1, min(weights_x.size, x) + 1):
                value += weights_x[k - 1] * serial[x - k] * line[x - k]
            before = line[x - 1] if x > 0 else np.float32(0.0)
            out[y, x] = value + bounce * (before - line[x])


def transferred(charge: Float32, channel: Channel, geometry: Geometry) -> Float32:
    """Move the charge of the image to the node.

    A pixel at image column x and row y is left behind by y + 1 parallel and x + 52 serial transfers: the fraction n cti of its
    charge comes up to 8 px later. What a pixel holds above full well is left behind at a much higher rate, along columns: it touches the
    surface. Then each pixel read has ``bounce`` times the difference between the one before and itself.

    Parameters
    ----------
    charge
        Electrons of the image pixels, shape (H, W).

    Returns
    -------
    Float32
        Electrons of image and overscans, shape (hQ, W + O). Deferral keeps the sum but for tails that pass the last pixel read.
    """
    truth = transfer(channel)
    width = geometry.quadrant_columns - geometry.prescan
    out = np.empty((geometry.quadrant_rows, width), np.float32)
    parallel = (truth.parallel_cti * (np.arange(geometry.image_rows) + 1.0)).astype(np.float32)
    serial = (truth.serial_cti * (np.arange(width) + geometry.prescan + 1.0)).astype(np.float32)
    bounce = np.float32(truth.bounce)
    rate = settings()["transfer"]["overfull_cti"]
    overfull = (rate * (np.arange(geometry.image_rows) + 1.0)).astype(np.float32)
    well = np.float32(channel.full_well_e)
    _moved(charge, parallel, serial, overfull, well, tail("parallel"), tail("serial"), bounce, out)
    return out
