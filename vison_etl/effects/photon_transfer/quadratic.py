"""The unweighted quadratic of old, for comparison with earlier results. Known to be biased; never adopted."""

from __future__ import annotations

import numpy as np

from vison_etl.effects.photon_transfer.model import MIN_POINTS, Fit, Points, no_fit


def fit_quadratic(points: Points, *, low_adu: float, high_adu: float) -> Fit:
    """Fit V = n00 + mu / g + a00 mu² without weights to the points with low <= mu <= high.

    The method is that of the original pipeline and its bias is known: cutting the exponential's series after the second
    order and giving the highest signals the largest influence makes the gain too large, by about 0.3 %, 1.2 % and 5 % at
    a00 = -0.75, -1.5 and -3e-6 per electron, and a00 too small. The errors here are right: the scatter of the points,
    relative_err x V, carried through the unweighted solution, and sigma_g = g² sigma(1/g).

    Parameters
    ----------
    points
        Points, shape (n,) each.
    low_adu, high_adu
        Range of signals, ADU.

    Returns
    -------
    Fit
        ``chi2`` with the errors of the model variance; ``no_data`` below 8 points in range, ``failed`` where the slope is
        not positive or the points do not tell three coefficients apart.
    """
    used = (points.mean_adu >= low_adu) & (points.mean_adu <= high_adu)
    chosen = points[used]
    if len(chosen) < MIN_POINTS:
        return no_fit("quadratic", "no_data", len(points))
    u = chosen.mean_adu / high_adu
    design = np.stack([u, u**2, np.ones_like(u)], axis=1)
    if np.linalg.cond(design) > 1e7:
        return no_fit("quadratic", "failed", len(points))
    inverse = np.linalg.pinv(design)
    slope, square, n00 = inverse @ chosen.variance_adu2
    curve = design @ (slope, square, n00)
    if not slope > 0.0 or not np.all(curve > 0.0):
        return no_fit("quadratic", "failed", len(points))
    errors = chosen.relative_err * curve
    covariance = (inverse * errors**2) @ inverse.T
    gain = high_adu / slope
    # from (slope, square, n00) of u to (gain, a00, n00)
    scale = np.array([-gain / slope, 1.0 / high_adu**2, 1.0])
    return Fit(
        model="quadratic",
        status="ok",
        gain_e_per_adu=float(gain),
        a00_per_e=float(square / high_adu**2),
        n00_adu2=float(n00),
        covariance=covariance * np.outer(scale, scale),
        chi2=float(np.sum(((chosen.variance_adu2 - curve) / errors) ** 2)),
        dof=len(chosen) - 3,
        used=used,
    )
