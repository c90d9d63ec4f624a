"""Photons: how evenly the flat source lights a CCD, how each pixel responds, how bright the source is in each exposure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from vison_etl.instrument.chambers import chamber
from vison_etl.instrument.geometry import Geometry, side_of
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import SimulationError, settings, uniform
from vison_etl.simulate.streams import CCD_INDEX, Float32, Purpose, generator, normals, stream

FULL_SCALE_ADU = 65536.0
_CHANNELS_KEPT = 12


@dataclass(frozen=True, slots=True)
class Illumination:
    """Smooth illumination of one CCD at one filter.

    With u, v from -1 to 1 over the CCD on silicon: 1 + gradient_x u + gradient_y v - vignetting (u^2 + v^2 - 2/3), of mean 1.
    """

    gradient_x: float
    gradient_y: float
    vignetting: float


@cache
def illumination(seed: int, block: str, ccd: str, label: str) -> Illumination:
    """Draw the illumination of a CCD through the filter with this label."""
    rng = generator(stream(seed, block, Purpose.LIGHT, CCD_INDEX[ccd], label))
    raw = settings()["light"]
    return Illumination(uniform(rng, raw["gradient"]), uniform(rng, raw["gradient"]), uniform(rng, raw["vignetting"]))


def illumination_map(light: Illumination, geometry: Geometry, quadrant: str) -> Float32:
    """Return the illumination of the image pixels of a quadrant, canonical, shape (H, W), relative to the CCD's mean."""
    s, u = side_of(quadrant)
    x = (np.arange(geometry.image_columns) + 0.5) / geometry.image_columns - 1.0
    y = (np.arange(geometry.image_rows) + 0.5) / geometry.image_rows - 1.0
    across = light.gradient_x * (-x if s else x) - light.vignetting * (x**2 - 1.0 / 3.0)
    along = light.gradient_y * (-y if u else y) - light.vignetting * (y**2 - 1.0 / 3.0)
    return (1.0 + across[None, :] + along[:, None]).astype(np.float32)


@lru_cache(_CHANNELS_KEPT)
def pixel_response(channel: Channel, geometry: Geometry) -> Float32:
    """Return the fixed response of the image pixels, canonical, shape (H, W): Gaussian of rms PRNU about 1, white."""
    key = (*channel.key, geometry.image_columns, geometry.image_rows)
    pattern = normals(
        stream(channel.seed, channel.block, Purpose.RESPONSE, *key), (geometry.image_rows, geometry.image_columns)
    )
    pattern *= np.float32(channel.prnu_pct / 100.0)
    pattern += np.float32(1.0)
    pattern.flags.writeable = False
    return pattern


def saturation_rate_adu_per_s(chamber_name: str, label: str) -> float:
    """Return the signal rate that the chamber's table of saturation times promises, ADU/s.

    Raises
    ------
    SimulationError
        If the chamber has no saturation time of the flat source for this filter.
    """
    seconds = chamber(chamber_name).flat_s.get(label)
    if seconds is None:
        known = ", ".join(chamber(chamber_name).flat_s)
        raise SimulationError(f"chamber {chamber_name} has no flat-source saturation time for filter {label}: {known}")
    return FULL_SCALE_ADU / seconds


def quadrant_rate_adu_per_s(channel: Channel, chamber_name: str, label: str, geometry: Geometry) -> float:
    """Return the mean rate over the image pixels of a channel with a source of level 1, ADU/s of open shutter."""
    light = illumination_map(illumination(channel.seed, channel.block, channel.ccd, label), geometry, channel.quadrant)
    mean = float(light.mean(dtype=np.float64))
    return saturation_rate_adu_per_s(chamber_name, label) * channel.response * mean


@lru_cache(_CHANNELS_KEPT)
def rate_map_e_per_s(channel: Channel, chamber_name: str, label: str, geometry: Geometry) -> Float32:
    """Return the electrons per second of open shutter in each image pixel, source of level 1, canonical, shape (H, W)."""
    light = illumination_map(illumination(channel.seed, channel.block, channel.ccd, label), geometry, channel.quadrant)
    rate_e = saturation_rate_adu_per_s(chamber_name, label) * channel.response * channel.gain_e_per_adu
    out = light * pixel_response(channel, geometry)
    out *= np.float32(rate_e)
    out.flags.writeable = False
    return out


def source_level(seed: int, block: str, obsid: int) -> float:
    """Return the brightness of the source in one exposure, 1 on average; the same for all channels."""
    rng = generator(stream(seed, block, Purpose.SOURCE_LEVEL, obsid))
    return float(1.0 + settings()["light"]["source_drift"] * rng.standard_normal())
