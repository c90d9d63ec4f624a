"""Charge injection: how much a channel injects at given voltages, in which rows, how evenly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import settings, uniform
from vison_etl.simulate.setup import Injection
from vison_etl.simulate.streams import CCD_INDEX, Float32, Purpose, generator, normals, stream

_SMOOTH_WAVES = 4
_KEPT = 48


@dataclass(frozen=True, slots=True)
class Injector:
    """The injection structure of a channel.

    Level in ADU at gates IG1, IG2 and drain low level IDL, with S(x) = 1 / (1 + exp(-x))::

        S(steepness (IG1 + hold - IDL)) [ notch_level + slope max(0, IG2 + notch - IG1) ]

    The first factor: the drain must be low enough for charge to pass IG1. The second: what the well between the gates holds.
    """

    hold_v: float
    steepness_per_v: float
    slope_adu_per_v: float
    notch_v: float
    notch_level_adu: float

    def level_adu(self, ig1_v: float, ig2_v: float, idl_v: float) -> float:
        """Return the mean injected level, ADU."""
        passing = 1.0 / (1.0 + math.exp(-self.steepness_per_v * (ig1_v + self.hold_v - idl_v)))
        return passing * (self.notch_level_adu + self.slope_adu_per_v * max(0.0, ig2_v + self.notch_v - ig1_v))

    def threshold_ig1_v(self, idl_v: float) -> float:
        """Return the IG1 at which injection sets in."""
        return idl_v - self.hold_v

    def threshold_idl_v(self, ig1_v: float) -> float:
        """Return the IDL above which nothing is injected."""
        return ig1_v + self.hold_v

    def notch_ig1_v(self, ig2_v: float) -> float:
        """Return the IG1 at which the well between the gates vanishes."""
        return ig2_v + self.notch_v


@cache
def injector(channel: Channel) -> Injector:
    """Draw the injection structure of a channel."""
    rng = generator(stream(channel.seed, channel.block, Purpose.INJECTION, *channel.key))
    raw = settings()["injection"]
    names = ("hold_v", "steepness_per_v", "slope_adu_per_v", "notch_v", "notch_level_adu")
    return Injector(**{name: uniform(rng, raw[name]) for name in names})


@lru_cache(_KEPT)
def column_pattern(channel: Channel, geometry: Geometry) -> Float32:
    """Return the level of each image column relative to the mean, shape (W,): half white, half in waves across the quadrant."""
    width = geometry.image_columns
    key = (*channel.key, width)
    rng = generator(stream(channel.seed, channel.block, Purpose.INJECTION, *key, "waves"))
    x = np.arange(width) / width
    waves = sum(np.sin(2.0 * np.pi * (rng.uniform() + n * x)) for n in range(1, _SMOOTH_WAVES + 1))
    white = normals(stream(channel.seed, channel.block, Purpose.INJECTION, *key, "white"), (width,))
    pattern = white / np.sqrt(2.0) + waves / np.sqrt(_SMOOTH_WAVES)
    pattern = (pattern - pattern.mean()) / pattern.std()
    return np.asarray(1.0 + settings()["injection"]["column_rms"] * pattern, np.float32)


def injected_rows(injection: Injection, rows: int) -> NDArray[np.bool_]:
    """Tell which of the image rows are injected: ``rows_on`` of every ``rows_on + rows_off`` from the first."""
    return np.arange(rows) % max(injection.rows_on + injection.rows_off, 1) < injection.rows_on


def level_adu(channel: Channel, injection: Injection) -> float:
    """Return the mean level that a channel injects, ADU; 0 in the half not selected and for a drain pulse too short."""
    selected = injection.half is not None and channel.quadrant in injection.half.value
    if not selected or injection.width_us < settings()["injection"]["least_width_us"]:
        return 0.0
    ig1_v = injection.ig1_v[CCD_INDEX[channel.ccd] - 1]
    return injector(channel).level_adu(ig1_v, injection.ig2_v, injection.idl_v)


def add_injection(charge: Float32, channel: Channel, geometry: Geometry, injection: Injection, obsid: int) -> None:
    """Inject charge into the image pixels, in place.

    level x pattern of the columns x scatter of the rows, and Gaussian noise of variance ``fano`` per electron.
    """
    level_e = level_adu(channel, injection) * channel.gain_e_per_adu
    if level_e <= 0.0:
        return
    raw = settings()["injection"]
    rows = np.flatnonzero(injected_rows(injection, charge.shape[0]))
    key = (*channel.key, obsid)
    rng = generator(stream(channel.seed, channel.block, Purpose.INJECTION_NOISE, *key))
    common = 1.0 + raw["row_rms"] * rng.standard_normal(rows.size)
    packets = (level_e * common[:, None] * column_pattern(channel, geometry)[None, :]).astype(np.float32)
    noise = normals(stream(channel.seed, channel.block, Purpose.INJECTION_NOISE, *key, "packets"), packets.shape)
    noise *= np.sqrt(np.float32(raw["fano"]) * packets)
    charge[rows] += np.maximum(packets + noise, np.float32(0.0))
