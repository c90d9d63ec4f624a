"""The point source: where its five images per quadrant fall, how wide they are at this mirror position, how bright."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from vison_etl.instrument.chambers import chamber, spots
from vison_etl.instrument.coordinates import ccd_to_canonical, physical_to_ccd
from vison_etl.instrument.geometry import Geometry, geometry_of, side_of
from vison_etl.simulate.build_up import accumulate, steps_for
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.settings import SimulationError, settings, uniform
from vison_etl.simulate.streams import CCD_INDEX, Float32, Purpose, generator, state_of, stream

FULL_SCALE_ADU = 65536.0
FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))
_PIXEL_MM = 0.012
_MARGIN_SIGMA = 6.0
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Focus:
    """Where a CCD is in focus: offset of its centre from the nominal mirror position, tilt along x and y of the frame."""

    offset_mm: float
    tilt_x_um_per_mm: float
    tilt_y_um_per_mm: float


@dataclass(frozen=True, slots=True)
class SpotTruth:
    """One spot: place in image pixels (canonical, without prescan), widths in focus, best focus, brightness relative to nominal."""

    spot: str
    x: float
    y: float
    sigma_x_px: float
    sigma_y_px: float
    focus_mm: float
    brightness: float


@dataclass(frozen=True, slots=True)
class SpotImage:
    """One spot in one exposure. ``blur_px`` is the diameter of the evenly lit disc that defocus makes of a point."""

    truth: SpotTruth
    x: float
    y: float
    flux_e: float
    blur_px: float

    @property
    def sigma_px(self) -> tuple[float, float]:
        """Root of the second central moments along x and y: in focus, and D^2 / 16 of the disc."""
        disc = self.blur_px**2 / 16.0
        return math.sqrt(self.truth.sigma_x_px**2 + disc), math.sqrt(self.truth.sigma_y_px**2 + disc)


@cache
def focus_of(seed: int, block: str, ccd: str) -> Focus:
    """Draw the focus of a CCD."""
    rng = generator(stream(seed, block, Purpose.SPOTS, CCD_INDEX[ccd]))
    raw = settings()["spot"]
    return Focus(
        uniform(rng, raw["focus_mm"]), uniform(rng, raw["tilt_um_per_mm"]), uniform(rng, raw["tilt_um_per_mm"])
    )


def _full() -> Geometry:
    full = settings()["size"]["full"]
    return geometry_of(full["naxis1"], full["naxis2"])


@lru_cache(_KEPT)
def spot_truths(channel: Channel, chamber_name: str, label: str, geometry: Geometry) -> tuple[SpotTruth, ...]:
    """Return the five spots of a channel through a filter.

    The pattern of the chamber is scaled about the node to the image area of the frame, in image pixels (x - 51, y). Empty for
    a chamber without pattern.
    """
    profile, full, raw = chamber(chamber_name), _full(), settings()["spot"]
    pattern = () if profile.pattern is None else spots(profile.pattern)
    focus = focus_of(channel.seed, channel.block, channel.ccd)
    rng = generator(stream(channel.seed, channel.block, Purpose.SPOTS, *channel.key, label))
    sigma = profile.fwhm_px[label] / FWHM_PER_SIGMA
    found = []
    for spot in pattern:
        if (spot.ccd, spot.quadrant) != (channel.ccd, channel.quadrant):
            continue
        x_ccd, y_ccd = physical_to_ccd(full, spot.x_physical, spot.y_physical)
        x, y = ccd_to_canonical(full, spot.quadrant, x_ccd, y_ccd)
        x_mm, y_mm = (_PIXEL_MM * (at - 0.5 * size) for at, size in ((x_ccd, full.naxis1), (y_ccd, full.naxis2)))
        tilted_mm = 1e-3 * (focus.tilt_x_um_per_mm * float(x_mm) + focus.tilt_y_um_per_mm * float(y_mm))
        own = generator(stream(channel.seed, channel.block, Purpose.SPOTS, *channel.key, spot.spot))
        dx, dy = raw["place_rms_px"] * own.standard_normal(2)
        width = sigma * (1.0 + raw["width_scatter"] * rng.standard_normal())
        stretch = uniform(rng, [-raw["ellipticity"], raw["ellipticity"]])
        found.append(
            SpotTruth(
                spot=spot.spot,
                x=(float(x) - full.prescan) * geometry.image_columns / full.image_columns + float(dx),
                y=float(y) * geometry.image_rows / full.image_rows + float(dy),
                sigma_x_px=width * (1.0 + stretch),
                sigma_y_px=width * (1.0 - stretch),
                focus_mm=focus.offset_mm + tilted_mm,
                brightness=1.0 + raw["flux_scatter"] * float(own.standard_normal()),
            )
        )
    return tuple(found)


def _central_share(sigma_px: float) -> float:
    """Return the part of the light of a centred spot that falls into its central pixel."""
    return float(erf(0.5 / (math.sqrt(2.0) * sigma_px)) ** 2)


def spot_rate_adu_per_s(chamber_name: str, label: str) -> float:
    """Return the nominal flux of a spot, ADU/s: its central pixel fills 65536 ADU in the chamber's time, centred and in focus.

    Raises
    ------
    SimulationError
        If the chamber has no pattern of spots, or no saturation time of the point source for this filter.
    """
    profile = chamber(chamber_name)
    if profile.pattern is None:
        raise SimulationError(f"chamber {chamber_name} has no pattern of point sources")
    seconds = profile.point_s.get(label)
    if seconds is None or label not in profile.fwhm_px:
        raise SimulationError(f"chamber {chamber_name} has no point-source saturation time for filter {label}")
    return FULL_SCALE_ADU / seconds / _central_share(profile.fwhm_px[label] / FWHM_PER_SIGMA)


def spot_images(
    channel: Channel,
    geometry: Geometry,
    chamber_name: str,
    label: str,
    light_s: float,
    mirror_mm: float | None,
    stage_px: tuple[float, float],
    obsid: int,
) -> tuple[SpotImage, ...]:
    """Return the spots of one exposure of a channel.

    Parameters
    ----------
    light_s
        Time the shutter was open times the brightness of the source, s.
    mirror_mm
        Position of the mirror; None for the nominal one, the same for all filters.
    stage_px
        Place of the stage, px along x and y of the CCD frame.
    """
    raw = settings()["spot"]
    nominal = next(iter(chamber(chamber_name).mirror_mm.values()))
    off_mm = 0.0 if mirror_mm is None else mirror_mm - nominal
    rng = generator(stream(channel.seed, channel.block, Purpose.SPOT_PLACE, obsid))
    shake = raw["shake_rms_px"] * rng.standard_normal(2)
    s, u = side_of(channel.quadrant)
    move_x = (stage_px[0] + shake[0]) * (-1.0 if s else 1.0)
    move_y = (stage_px[1] + shake[1]) * (-1.0 if u else 1.0)
    flux_e = spot_rate_adu_per_s(chamber_name, label) * light_s * channel.response * channel.gain_e_per_adu
    return tuple(
        SpotImage(
            truth=truth,
            x=truth.x + float(move_x),
            y=truth.y + float(move_y),
            flux_e=flux_e * truth.brightness,
            blur_px=raw["blur_px_per_mm"] * abs(off_mm - truth.focus_mm),
        )
        for truth in spot_truths(channel, chamber_name, label, geometry)
    )


def _disc(diameter: float, sigma: float) -> NDArray[np.float64]:
    """Return points spread evenly over a disc, shape (2, n), closer to each other than a sigma."""
    n = 64 + int((diameter / sigma) ** 2)
    k = np.arange(n) + 0.5
    radius, angle = 0.5 * diameter * np.sqrt(k / n), np.pi * (1.0 + math.sqrt(5.0)) * k
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)])


def stamp(image: SpotImage) -> tuple[Float32, int, int]:
    """Return the mean image of a spot, electrons, integrated over pixels, and the image pixel (x, y) of its corner."""
    truth = image.truth
    sigma = max(truth.sigma_x_px, truth.sigma_y_px)
    reach = math.ceil(0.5 * image.blur_px + _MARGIN_SIGMA * sigma) + 2
    x0, y0 = round(image.x) - reach, round(image.y) - reach
    points = _disc(image.blur_px, sigma)
    parts = []
    for at, shift, width in ((image.x - x0, points[0], truth.sigma_x_px), (image.y - y0, points[1], truth.sigma_y_px)):
        edges = np.arange(2 * reach + 2) - 0.5
        steps = erf((edges[None, :] - at - shift[:, None]) / (math.sqrt(2.0) * width))
        parts.append(0.5 * np.diff(steps, axis=1))
    return (image.flux_e / points.shape[1] * parts[1].T @ parts[0]).astype(np.float32), x0, y0


def _overlap(
    shape: tuple[int, ...], part: Float32, x0: int, y0: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    rows, columns = part.shape
    into = slice(max(y0, 0), min(y0 + rows, shape[0])), slice(max(x0, 0), min(x0 + columns, shape[1]))
    return into, (slice(into[0].start - y0, into[0].stop - y0), slice(into[1].start - x0, into[1].stop - x0))


def add_mean_spots(charge: Float32, images: tuple[SpotImage, ...]) -> None:
    """Add the mean light of spots to image pixels, in place; what falls outside is lost."""
    for image in images:
        part, x0, y0 = stamp(image)
        into, kept = _overlap(charge.shape, part, x0, y0)
        if kept[0].stop > kept[0].start and kept[1].stop > kept[1].start:
            charge[into] += part[kept]


def _noisy_parts(
    channel: Channel, images: tuple[SpotImage, ...], obsid: int, step_e: float
) -> Iterator[tuple[Float32, int, int]]:
    rng = generator(stream(channel.seed, channel.block, Purpose.SPOT_PHOTONS, *channel.key, obsid))
    idle = state_of(stream(channel.seed, channel.block, Purpose.SPOT_PHOTONS, *channel.key))
    for image in images:
        part, x0, y0 = stamp(image)
        peak = min(float(part.max()), channel.full_well_e)
        if float(part.max()) < 10.0 * channel.full_well_e:
            part = accumulate(part, channel.shift, steps_for(peak, step_e), idle, noisy=False)
        yield rng.poisson(np.maximum(part, 0.0)).astype(np.float32), x0, y0


def add_spots(charge: Float32, channel: Channel, images: tuple[SpotImage, ...], obsid: int, step_e: float) -> None:
    """Add the charge of spots to image pixels, in place: mean light, brighter-fatter effect, photon noise of Poisson's law.

    The effect of charge on charge acts on the mean image in steps of at most ``step_e`` electrons; spots far above full
    well, in which nothing is left of it, go without.
    """
    for part, x0, y0 in _noisy_parts(channel, images, obsid, step_e):
        into, kept = _overlap(charge.shape, part, x0, y0)
        if kept[0].stop > kept[0].start and kept[1].stop > kept[1].start:
            charge[into] += part[kept]
