"""What is read off a fitted response: the curve, its largest deviation, residuals of levels, linearity after EMVA 1288."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vison_etl.effects.nonlinearity.data import Exposures, Floats, Integers, Mask, Tiles
from vison_etl.effects.nonlinearity.light import Light
from vison_etl.effects.nonlinearity.model import Response
from vison_etl.effects.nonlinearity.response import FULL_SCALE_ADU, deviations

_DRAWS = 400
_LOW, _HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Non-linearity against measured signal, fractions, with errors and covariance; ``linear_adu`` is the inverse response."""

    measured_adu: Floats
    deviation: Floats
    error: Floats
    covariance: Floats

    @property
    def linear_adu(self) -> Floats:
        """Return the signal of the linear chain."""
        return self.measured_adu / (1.0 + self.deviation)


def sample_curve(response: Response, lowest_adu: float, highest_adu: float, points: int) -> Curve:
    """Sample the curve between the faintest and the brightest signal that counts.

    Half of the points lie evenly in the logarithm below 5 % of full scale, the others evenly above.
    """
    middle = float(np.clip(0.05 * FULL_SCALE_ADU, lowest_adu, highest_adu))
    half = points // 2
    low = np.geomspace(lowest_adu, middle, half, endpoint=False) if lowest_adu < middle else np.array([])
    measured = np.concatenate([low, np.linspace(middle, highest_adu, points - low.size)])
    deviation, jacobian = deviations(response.basis, response.coefficients, measured)
    covariance = jacobian @ response.covariance @ jacobian.T
    return Curve(measured, deviation, np.sqrt(np.maximum(np.diag(covariance), 0.0)), covariance)


@dataclass(frozen=True, slots=True)
class Extreme:
    """Largest deviation, a fraction, and where."""

    deviation: float
    deviation_err: float
    measured_adu: float
    measured_adu_err: float


def largest_deviation(curve: Curve, lowest_adu: float) -> Extreme | None:
    """Return the largest deviation from ``lowest_adu`` on; None where the curve has no point there.

    Errors: scatter of its size and place over 400 curves drawn from the covariance (with fixed random numbers), so that between two
    humps of equal height the place has an error of their distance.
    """
    here = np.flatnonzero(curve.measured_adu >= lowest_adu)
    if not here.size:
        return None
    values, axes = np.linalg.eigh(curve.covariance[np.ix_(here, here)])
    root = axes * np.sqrt(np.maximum(values, 0.0))
    draws = curve.deviation[here] + np.random.default_rng(0).standard_normal((_DRAWS, here.size)) @ root.T
    at = np.argmax(np.abs(draws), axis=1)
    found = draws[np.arange(_DRAWS), at]
    best = here[int(np.argmax(np.abs(curve.deviation[here])))]
    return Extreme(
        float(curve.deviation[best]),
        float(np.sqrt(np.mean((np.abs(found) - abs(curve.deviation[best])) ** 2))),
        float(curve.measured_adu[best]),
        float(np.sqrt(np.mean((curve.measured_adu[here][at] - curve.measured_adu[best]) ** 2))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One script column of one channel against the model of clock, latency and drift; fractions."""

    measured_adu: float
    residual: float
    error: float
    n_frames: int


def clock_residuals(exposures: Exposures, light: Light) -> Floats:
    """Return ln L less what clock, latency and drift say, shape (K,): the same for all channels."""
    return light.log_light - np.log(exposures.open_s + light.latency_s[exposures.light]) - light.drift


def level_residual(response: Response, tiles: Tiles, members: Integers, common: Floats, flux: float) -> Level | None:
    """Return the residual of the frames ``members`` of one channel; None where none counts.

    Error: flux repeatability and what the tiles scatter about their plane, over the square root of the numbers.
    """
    frames = [k for k in members if np.isfinite(response.residual[k]).any()]
    if not frames:
        return None
    own = np.array([np.nanmean(response.residual[k]) for k in frames])
    spread = np.array([np.nanvar(response.residual[k]) / np.isfinite(response.residual[k]).sum() for k in frames])
    residual = float(np.mean(own + common[frames]))
    error = float(np.sqrt(flux**2 / len(frames) + spread.sum() / len(frames) ** 2))
    return Level(float(np.nanmean(tiles.signal_adu[frames])), residual, error, len(frames))


@dataclass(frozen=True, slots=True)
class Emva:
    """Linearity after EMVA 1288, fractions: mean absolute, lowest and highest deviation from a line."""

    mean: float
    lowest: float
    highest: float


def emva_linearity(response: Response, tiles: Tiles, exposures: Exposures, light: Light, trusted: Mask) -> Emva | None:
    """Return the linearity error of EMVA 1288 (Release 4.0): a line y = a + b H, weights 1 / y², over 5 to 95 % of the brightest signal.

    One point per level: mean signal of its frames, each relative to the light that it had beside drift and latency; H: light as the clock
    says, in ADU of the linear chain. None with fewer than three levels.
    """
    clock = np.exp(light.log_light - clock_residuals(exposures, light))
    points = []
    for level in np.unique(exposures.level):
        here = np.flatnonzero((exposures.level == level) & trusted)
        full = [k for k in here if np.isfinite(tiles.signal_adu[k]).all()]
        if full:
            pattern = np.exp(response.log_illumination[exposures.light[full[0]]]).mean()
            points.append((np.mean(clock[full]) * pattern, np.mean(tiles.signal_adu[full])))
    if not points:
        return None
    dose, signal = np.array(points).T
    used = (signal >= _LOW * signal.max()) & (signal <= _HIGH * signal.max())
    if np.count_nonzero(used) < 3:
        return None
    dose, signal = dose[used], signal[used]
    design = np.column_stack([np.ones_like(dose), dose]) / signal[:, None]
    line, *_ = np.linalg.lstsq(design, np.ones_like(signal), rcond=None)
    fitted = line[0] + line[1] * dose
    off = (signal - fitted) / fitted
    return Emva(float(np.mean(np.abs(off))), float(off.min()), float(off.max()))
