"""One quadrant of one exposure through the whole chain: photons, charge, transfer, amplifier, ADC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.build_up import GAUSSIAN_LIMIT_E, accumulate, steps_for
from vison_etl.simulate.charge import add_particles, spill
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.electronics import digitise, frame_offset_adu
from vison_etl.simulate.light import rate_map_e_per_s
from vison_etl.simulate.settings import settings
from vison_etl.simulate.streams import Float32, Purpose, generator, state_of, stream

DEFAULT_STEP_E = 10_000.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as the detector sees it.

    ``open_s`` is the time the shutter was really open, ``label`` the chamber's label of the filter, ``level`` the brightness
    of the source, ``time_h`` the start in hours of the clock of slow drifts; ``vstart, vend`` the rows kept.
    """

    obsid: int
    chamber: str
    label: str
    level: float
    exptime_s: float
    open_s: float
    time_h: float
    vstart: int
    vend: int


@dataclass(frozen=True, slots=True)
class Options:
    """How finely to simulate, and what besides.

    Parameters
    ----------
    step_e
        Most electrons per pixel that arrive in one step of the build-up.
    cosmics_per_quadrant
        Mean number of particle tracks in a quadrant of a frame.
    a00_per_e
        Strength of the brighter-fatter effect of all channels; None keeps that of each channel.
    """

    step_e: float = DEFAULT_STEP_E
    cosmics_per_quadrant: float = 0.0
    a00_per_e: float | None = None


def mean_charge_e(channel: Channel, geometry: Geometry, shot: Shot) -> Float32:
    """Return the mean charge of each image pixel, photons and dark current, electrons, canonical, shape (H, W)."""
    dark_s = shot.exptime_s + 0.5 * settings()["time"]["readout_s"]
    dark_e = np.float32(channel.dark_e_per_px_h * dark_s / 3600.0)
    if shot.open_s == 0.0:
        return np.full((geometry.image_rows, geometry.image_columns), dark_e, np.float32)
    rate = rate_map_e_per_s(channel, shot.chamber, shot.label, geometry)
    return rate * np.float32(shot.open_s * shot.level) + dark_e


def collect(channel: Channel, mean_e: Float32, obsid: int, options: Options) -> Float32:
    """Turn mean charge into charge: photon noise, brighter-fatter effect, particles, full well.

    Parameters
    ----------
    mean_e
        Mean electrons per pixel, canonical, shape (H, W).
    obsid
        Exposure: key of the random numbers.

    Returns
    -------
    Float32
        Electrons, shape (H, W).
    """
    key = (*channel.key, obsid)
    photons = stream(channel.seed, channel.block, Purpose.PHOTONS, *key)
    average = float(mean_e.mean(dtype=np.float64))
    if average < GAUSSIAN_LIMIT_E:
        charge = generator(photons).poisson(mean_e).astype(np.float32)
    else:
        charge = accumulate(mean_e, channel.shift, steps_for(average, options.step_e), state_of(photons))
    if options.cosmics_per_quadrant > 0.0:
        rng = generator(stream(channel.seed, channel.block, Purpose.COSMICS, *key))
        add_particles(charge, options.cosmics_per_quadrant, rng)
    spill(charge, channel.full_well_e)
    return charge


def expose(channel: Channel, geometry: Geometry, shot: Shot, options: Options) -> NDArray[np.uint16]:
    """Simulate one quadrant of one exposure.

    Returns
    -------
    NDArray
        Codes, uint16, canonical, shape (hQ, wQ). Depends on (seed, block, ccd, quadrant, obsid) and on the shot alone.
    """
    charge = collect(channel, mean_charge_e(channel, geometry, shot), shot.obsid, options)
    noise = state_of(stream(channel.seed, channel.block, Purpose.AMPLIFIER, *channel.key, shot.obsid))
    offset_adu = frame_offset_adu(channel, shot.obsid, shot.time_h)
    return digitise(charge, channel, geometry, offset_adu, (shot.vstart, shot.vend), noise)
