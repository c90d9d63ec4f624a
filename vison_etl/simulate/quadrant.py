"""One quadrant of one exposure through the whole chain: photons, charge, injection, pumping, transfer, amplifier, ADC."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.build_up import GAUSSIAN_LIMIT_E, accumulate, steps_for
from vison_etl.simulate.charge import add_particles, particles_expected, spill
from vison_etl.simulate.dark import dark_e, exposed_s, register_e, stray_e
from vison_etl.simulate.defects import add_hot, defects, dim
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.electronics import digitise, frame_offset_adu
from vison_etl.simulate.injection import add_injection
from vison_etl.simulate.light import rate_map_e_per_s
from vison_etl.simulate.persistence import add_latent
from vison_etl.simulate.pumping import pump
from vison_etl.simulate.response import in_condition, respond
from vison_etl.simulate.setup import Setup
from vison_etl.simulate.spots import SpotImage, add_spots, spot_images
from vison_etl.simulate.streams import Float32, Purpose, generator, state_of, stream
from vison_etl.simulate.transfer import transferred

DEFAULT_STEP_E = 10_000.0
_DRAIN = 3.0
"""Charge beyond this many full wells is lost."""
_LEAST_REGISTER_E = 1e-3


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as the detector sees it.

    ``open_s`` is the time the shutter was really open, ``label`` the chamber's label of the filter, ``level`` the brightness
    of the source, ``time_h`` the start in hours of the clock of slow drifts; ``vstart, vend`` the rows kept; ``setup`` what
    else was commanded.
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
    setup: Setup = field(default_factory=Setup)


@dataclass(frozen=True, slots=True)
class Options:
    """How finely to simulate, and what besides.

    Parameters
    ----------
    step_e
        Most electrons per pixel that arrive in one step of the build-up.
    cosmics_per_quadrant
        Mean number of particle tracks in a quadrant of a frame; None: as many as the time and the area make it.
    a00_per_e
        Strength of the brighter-fatter effect of all channels; None keeps that of each channel.
    has_defects
        Whether pixels and columns may be hot or dim.
    nonlinearity
        Factor on the cubic term of the response of each channel; 0 for a linear chain.
    source_wander
        How far the source drifts over all exposures, from its lowest to its highest, relative.
    shutter_error_s
        How much longer the shutter is open than its table says.
    """

    step_e: float = DEFAULT_STEP_E
    cosmics_per_quadrant: float | None = None
    a00_per_e: float | None = None
    has_defects: bool = True
    nonlinearity: float = 1.0
    source_wander: float = 0.0
    shutter_error_s: float = 0.0


def mean_charge_e(channel: Channel, geometry: Geometry, shot: Shot) -> Float32:
    """Return the mean charge of each image pixel, flat, stray and dark, electrons, canonical, shape (H, W)."""
    shape = geometry.image_rows, geometry.image_columns
    dark = dark_e(channel, geometry, shot.setup, shot.exptime_s)[: shape[0], None]
    even = dark + stray_e(channel, geometry, shot.setup, shot.exptime_s)
    if shot.open_s == 0.0 or shot.setup.source != "flat":
        return np.asarray(np.broadcast_to(even, shape), np.float32)
    rate = rate_map_e_per_s(channel, shot.chamber, shot.label, geometry)
    return rate * np.float32(shot.open_s * shot.level) + even


def _build(channel: Channel, mean_e: Float32, obsid: int, options: Options) -> Float32:
    photons = stream(channel.seed, channel.block, Purpose.PHOTONS, *channel.key, obsid)
    average = float(mean_e.mean(dtype=np.float64))
    if average < GAUSSIAN_LIMIT_E:
        return generator(photons).poisson(mean_e).astype(np.float32)
    return accumulate(mean_e, channel.shift, steps_for(average, options.step_e), state_of(photons))


def _finish(charge: Float32, channel: Channel, obsid: int, particles: float) -> None:
    if particles > 0.0:
        rng = generator(stream(channel.seed, channel.block, Purpose.COSMICS, *channel.key, obsid))
        add_particles(charge, particles, rng)
    spill(charge, channel.full_well_e)


def collect(channel: Channel, mean_e: Float32, obsid: int, options: Options) -> Float32:
    """Turn mean charge into charge: photon noise, brighter-fatter effect, particles if a number is given, full well.

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
    charge = _build(channel, mean_e, obsid, options)
    _finish(charge, channel, obsid, options.cosmics_per_quadrant or 0.0)
    return charge


def shot_spots(channel: Channel, geometry: Geometry, shot: Shot) -> tuple[SpotImage, ...]:
    """Return the spots of a channel in an exposure; none unless the point source shines."""
    setup = shot.setup
    if setup.source != "point" or shot.open_s == 0.0:
        return ()
    light_s = shot.open_s * shot.level
    return spot_images(
        channel, geometry, shot.chamber, shot.label, light_s, setup.mirror_mm, setup.stage_px, shot.obsid
    )


def image_charge(channel: Channel, geometry: Geometry, shot: Shot, options: Options) -> Float32:
    """Return the charge of the image pixels when the read-out begins, electrons, canonical, shape (H, W).

    Light and dark current, spots, hot pixels, latent charge, injection, pumping, particles, full well, in this order.
    """
    setup, obsid = shot.setup, shot.obsid
    found = defects(channel, geometry) if options.has_defects else ()
    mean_e = mean_charge_e(channel, geometry, shot)
    if found and shot.open_s > 0.0:
        mean_e = mean_e.copy()
        dim(mean_e, found)
    charge = _build(channel, mean_e, obsid, options)
    add_spots(charge, channel, shot_spots(channel, geometry, shot), obsid, options.step_e)
    collected_s = exposed_s(geometry, setup, shot.exptime_s)[: geometry.image_rows]
    if found:
        rng = generator(stream(channel.seed, channel.block, Purpose.DEFECT_CHARGE, *channel.key, obsid))
        add_hot(charge, found, collected_s.astype(np.float32), rng)
    for latent in setup.latents:
        add_latent(charge, channel, geometry, shot.chamber, latent, float(collected_s.mean()), obsid)
    if setup.injection is not None:
        add_injection(charge, channel, geometry, setup.injection, obsid)
    for pumping in setup.pumping:
        pump(charge, channel, geometry, pumping, obsid)
    particles = options.cosmics_per_quadrant
    if particles is None:
        particles = particles_expected(geometry, float(collected_s.mean()))
    _finish(charge, channel, obsid, particles)
    return np.minimum(charge, np.float32(_DRAIN * channel.full_well_e))


def _read_charge(channel: Channel, geometry: Geometry, shot: Shot, options: Options) -> Float32:
    """Return the charge that reaches the node, image and overscans, electrons, shape (hQ, W + O)."""
    setup = shot.setup
    if setup.collects:
        moved = transferred(image_charge(channel, geometry, shot, options), channel, geometry)
        late = dark_e(channel, geometry, setup, 0.0)[geometry.image_rows :]
    else:
        moved = np.zeros((geometry.quadrant_rows, geometry.quadrant_columns - geometry.prescan), np.float32)
        late = np.zeros(0, np.float32)
    rng = generator(stream(channel.seed, channel.block, Purpose.DARK, *channel.key, shot.obsid))
    if late.size:
        columns = slice(0, geometry.image_columns)
        moved[geometry.image_rows :, columns] += rng.poisson(late[:, None], (late.size, geometry.image_columns))
    return moved


def expose(channel: Channel, geometry: Geometry, shot: Shot, options: Options) -> NDArray[np.uint16]:
    """Simulate one quadrant of one exposure.

    Returns
    -------
    NDArray
        Codes, uint16, canonical, shape (hQ, wQ). Depends on (seed, block, ccd, quadrant, obsid) and on the shot alone.
    """
    charge = _read_charge(channel, geometry, shot, options)
    truth = in_condition(channel, shot.setup)
    respond(charge, truth, options.nonlinearity)
    noise = state_of(stream(channel.seed, channel.block, Purpose.AMPLIFIER, *channel.key, shot.obsid))
    offset_adu = frame_offset_adu(channel, shot.obsid, shot.time_h)
    register = register_e(channel, shot.setup) if shot.setup.reads_register else 0.0
    if register < _LEAST_REGISTER_E:
        return digitise(charge, truth, geometry, offset_adu, (shot.vstart, shot.vend), noise)
    whole = np.zeros((geometry.quadrant_rows, geometry.quadrant_columns), np.float32)
    whole[:, geometry.prescan :] = charge
    rng = generator(stream(channel.seed, channel.block, Purpose.DARK, *channel.key, shot.obsid, "register"))
    whole += rng.poisson(register, whole.shape).astype(np.float32)
    return digitise(whole, truth, geometry, offset_adu, (shot.vstart, shot.vend), noise, first_column=0)
