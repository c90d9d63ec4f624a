"""What the moving walls do to an image of a point: the widths of the original, and how much spots grow.

The original degrades an image of one bright pixel of mu electrons once to first order, and turns what its neighbours get into the width
of a Gaussian. With b = -E_00 mu / 4, the share that crosses the east wall (half of the mean of mu and 0 times the push E_00 mu)::

    FWHM_x = 2.355 x 12 um x sqrt(-1 / (2 ln I_x)),    I_x = b_x / (1 - 2 b_x - 2 b_y)                                 (1)

It is no width of any spot, and grows where no charge is; it is kept so that years can be compared. `growth` is what happens to a spot of
light of Gaussian shape, spread by its own charge, to first order in the flux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import correlate
from scipy.special import erf

from vison_etl.effects.covariance.lags import Floats, Measured

PIXEL_UM = 12.0
FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))
_SUBPIXELS = 5
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Widths:
    """Widths of the original, um, at one signal, their growth in um per 10 000 ADU along a straight line, and the ellipticity.

    ``errors`` has the same five numbers.
    """

    fwhm_x_um: float
    fwhm_y_um: float
    slope_x: float
    slope_y: float
    ellipticity: float
    errors: tuple[float, float, float, float, float]


def point_widths_um(east: float, north: float, signal_e: Floats) -> tuple[Floats, Floats]:
    """Return equation (1) for both axes at signals of shape (n,), um; NaN where a wall does not move inwards.

    Parameters
    ----------
    east, north
        Shifts E_00 and N_00 of the walls of the pixel, px per electron; negative.
    signal_e
        Electrons in the pixel.
    """
    across_x, across_y = -0.25 * east * signal_e, -0.25 * north * signal_e
    left = 1.0 - 2.0 * (across_x + across_y)
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = [PIXEL_UM * FWHM_PER_SIGMA * np.sqrt(-0.5 / np.log(across / left)) for across in (across_x, across_y)]
    return wide[0], wide[1]


def original_widths(
    walls: tuple[float, float], covariance: Floats, gain_e_per_adu: float, signals_adu: Floats, at_adu: float
) -> Widths:
    """Return the widths of the original at one signal, and the slopes of straight lines through those at the signals.

    Parameters
    ----------
    walls
        E_00 and N_00, px per electron.
    covariance
        Of (E_00, N_00, gain), shape (3, 3).
    gain_e_per_adu
        Gain.
    signals_adu
        Signals of the line, at least two, ADU.
    at_adu
        Signal of the widths, ADU.
    """
    point = np.array([*walls, gain_e_per_adu])

    def numbers(values: Floats) -> Floats:
        x, y = point_widths_um(values[0], values[1], values[2] * np.append(signals_adu, at_adu))
        kadu = signals_adu / 1e4
        centred = kadu - kadu.mean()
        slopes = [float(centred @ width[:-1] / (centred @ centred)) for width in (x, y)]
        squares = x[-1] ** 2, y[-1] ** 2
        return np.array([x[-1], y[-1], *slopes, (squares[0] - squares[1]) / (squares[0] + squares[1])])

    steps = _STEP * np.diag(np.abs(point))
    jacobian = np.stack(
        [(numbers(point + step) - numbers(point - step)) / (2.0 * step.sum()) for step in steps], axis=1
    )
    sigma = np.sqrt(np.diagonal(jacobian @ covariance @ jacobian.T))
    x, y, slope_x, slope_y, ellipticity = numbers(point).tolist()
    return Widths(x, y, slope_x, slope_y, ellipticity, tuple(sigma.tolist()))


def growth(kernel: Measured, spot_sigma_px: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return d FWHM / d flux of a Gaussian spot along x and y, px per electron, with errors, to first order in the flux.

    The light of the spot is F, averaged over the places of its centre in a pixel. Through walls of push grad K its second moment grows by

        d <x^2> = (1/2) sum_p F_wall(p) (2 x_p + 1) [K*F(p + 1) - K*F(p)] / flux

    and the width by d FWHM = FWHM d<x^2> / (2 sigma^2).

    Parameters
    ----------
    kernel
        K_ij, 1/e, with covariance (`kernel.solve`).
    spot_sigma_px
        Sigma of the spot before pixels integrate it, px.
    """
    along_x, along_y = _moment_weights(kernel.reach, spot_sigma_px)
    scale = FWHM_PER_SIGMA / (2.0 * spot_sigma_px)
    found, errors = [], []
    for weights in (along_x, along_y):
        found.append(scale * float(weights @ kernel.values.ravel()))
        errors.append(scale * math.sqrt(max(float(weights @ kernel.covariance @ weights), 0.0)))
    return (found[0], found[1]), (errors[0], errors[1])


def gaussian_spot(sigma_px: float, half_px: int, x_px: float = 0.0, y_px: float = 0.0) -> Floats:
    """Return a Gaussian spot of unit flux integrated over pixels, shape (2 half + 1, 2 half + 1), centre at (x, y) from the middle."""
    edges = np.arange(-half_px, half_px + 2) - 0.5
    inside = [np.diff(0.5 * erf((edges - centre) / (sigma_px * math.sqrt(2.0)))) for centre in (y_px, x_px)]
    return np.outer(*inside)


@cache
def _moment_weights(reach: int, sigma_px: float) -> tuple[Floats, Floats]:
    """Return d<x^2> and d<y^2> per K_ij of one quarter of the lags, shape (r^2,) each."""
    half = math.ceil(6.0 * sigma_px) + 1
    places = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
    total = np.zeros((2 * reach + 1, 2 * reach + 1))
    for x in places:
        for y in places:
            total += _of_spot(gaussian_spot(sigma_px, half, x, y), half, x, reach)
    total /= _SUBPIXELS**2
    # total is indexed [lag_x, lag_y] with one lag more than K has on each side.
    inner = total[1:-1, 1:-1]
    centre = reach - 1
    folded = np.zeros((reach, reach))
    for x_lag in range(-centre, centre + 1):
        for y_lag in range(-centre, centre + 1):
            folded[abs(x_lag), abs(y_lag)] += inner[centre + x_lag, centre + y_lag]
    along_x = folded.ravel()
    return along_x, np.ascontiguousarray(folded.T).ravel()


def _of_spot(spot: Floats, half: int, centre_px: float, reach: int) -> Floats:
    """Return d<x^2> per K at lags -r ... r, shape (2 r + 1, 2 r + 1), indexed [lag_x, lag_y], for one spot along its rows."""
    columns = np.arange(-half, half) + 0.5 - centre_px
    pulled = np.zeros_like(spot)
    lever = 0.5 * (spot[:, :-1] + spot[:, 1:]) * columns
    pulled[:, 1:] += lever
    pulled[:, :-1] -= lever
    full = correlate(pulled, spot, mode="full", method="direct")
    middle = full.shape[0] // 2
    window = full[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    return np.ascontiguousarray(window.T)
