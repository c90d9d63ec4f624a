"""The script columns of one channel before and after their pixels were corrected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from vison_etl.effects.brighter_fatter.corrected_ptc import Line, Point, fit_line
from vison_etl.effects.brighter_fatter.residuals import Residuals, inverse, photon_covariances, residuals
from vison_etl.effects.covariance.frames import MeasuredPairs, measured_pairs
from vison_etl.effects.covariance.kernel import Kernels
from vison_etl.effects.covariance.lags import Floats
from vison_etl.effects.covariance.levels import Level, level_means
from vison_etl.effects.covariance.record import CovarianceFit

_PAIR = ("obsid_1", "obsid_2")
_CORRECTED = "corrected"
NO_KERNEL = frozenset({"no_kernel", "no_fit"})


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedLevel:
    """A script column. ``level``: means of its corrected pairs before the correction; of all its pairs where none was corrected.

    ``found``: electrons, see `residuals.Residuals`; ``after`` is that of the pixels; None where no pair was corrected.
    ``state``: ``corrected``, or what was said of most of its pairs; ``not_measured`` if nothing was.
    """

    level: Level
    state: str
    found: Residuals | None
    factor: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedChannel:
    """Script columns of the fit, and straight lines through the variances before and after the correction."""

    levels: tuple[CorrectedLevel, ...]
    before: Line
    after: Line


def correct_channel(
    rows: pl.DataFrame,
    measured: MeasuredPairs,
    fit: CovarianceFit,
    kernels: Kernels,
    levels: Sequence[Level],
    lags: int,
) -> CorrectedChannel:
    """Gather what the correction of pixels left of the covariances of a channel.

    Parameters
    ----------
    rows
        Rows of ``corrected_covariances`` of the channel.
    measured
        Its pairs as measured.
    fit, kernels
        The fit, status ``ok``, and what follows from it: gain, noise at zero signal, and what is expected to be left.
    levels
        Its script columns; those of the fit count.
    lags
        Largest lag.
    """
    used = {level.label: level for level in levels if level.is_used}
    # What a straight line does not need: corrected variances go as the mean, wherever they are averaged.
    corrected = rows.filter(pl.col("state") == _CORRECTED).with_columns(spread_adu=0.0, n_cells_out=0)
    after = measured_pairs(corrected, measured.pairs.reach)
    same = measured[_is_among(measured.frame, after.frame)]
    before, found = _levels(same), _levels(after[_is_among(after.frame, same.frame)])
    states = _states(rows)
    gathered = []
    for label, level in used.items():
        if label in found and label in before:
            gathered.append(_compared(before[label], found[label], fit, kernels, lags + 1))
        else:
            nothing = np.zeros((0, 0))
            gathered.append(CorrectedLevel(level, states.get(label, "not_measured"), None, nothing))
    points = [_points(one, fit) for one in gathered if one.found is not None]
    lines = fit_line([point for point, _ in points]), fit_line([point for _, point in points], fit)
    return CorrectedChannel(tuple(gathered), *lines)


def _is_among(frame: pl.DataFrame, other: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which pairs of a frame the other one has, too."""
    known = other.select(_PAIR).with_columns(known=True)
    joined = frame.select(_PAIR).join(known, on=list(_PAIR), how="left", maintain_order="left")
    return joined["known"].fill_null(value=False).to_numpy()


def _levels(found: MeasuredPairs) -> Mapping[str | None, Level]:
    """Return the means of the pairs by script column."""
    levels = level_means(
        found.pairs,
        found.error_adu2,
        found.frame["mean_adu_err"].cast(float).to_numpy(),
        found.frame["script_column"].to_numpy().astype(object),
        np.ones(len(found.pairs), bool),
        None,
    )
    return {level.label: level for level in levels}


def _states(rows: pl.DataFrame) -> dict[str | None, str]:
    """Return the state of most pairs of each script column."""
    pairs = rows.select("script_column", "state", *_PAIR).unique().sort("script_column", "state")
    counted: dict[str | None, Counter[str]] = {}
    for label, state, *_ in pairs.iter_rows():
        counted.setdefault(label, Counter())[state] += 1
    return {label: states.most_common(1)[0][0] for label, states in counted.items()}


def _compared(before: Level, after: Level, fit: CovarianceFit, kernels: Kernels, n_lags: int) -> CorrectedLevel:
    """Return what is left, the noise at zero signal taken off: of the corrected frames as the correction left it."""
    gain, noise = fit.coefficients.gain_e_per_adu, fit.coefficients.n_e2
    n_lags = min(n_lags, noise.shape[0])
    signal_e, a = gain * before.mean_adu, kernels.a.values
    factor = inverse(a, kernels.c, signal_e)
    covariance = gain**2 * before.covariance_adu2 - noise
    foretold = residuals(
        covariance, gain**2 * before.covariance_adu2_err, photon_covariances(a, kernels.c, signal_e), factor, n_lags
    )
    corrected_noise = residuals(noise, np.zeros_like(noise), noise, factor, n_lags).after
    found = Residuals(
        before=foretold.before,
        before_err=foretold.before_err,
        after=gain**2 * after.covariance_adu2[:n_lags, :n_lags] - corrected_noise,
        after_err=gain**2 * after.covariance_adu2_err[:n_lags, :n_lags],
        expected=foretold.expected,
    )
    return CorrectedLevel(before, _CORRECTED, found, factor)


def _points(one: CorrectedLevel, fit: CovarianceFit) -> tuple[Point, Point]:
    """Return the points before and after the correction; photon order is taken off the second."""
    found, gain = one.found, fit.coefficients.gain_e_per_adu
    assert found is not None
    mean, per_adu2 = one.level.mean_adu, gain**-2
    left = float(found.expected[0, 0]) - gain * mean
    return (
        Point(mean, per_adu2 * float(found.before[0, 0]), per_adu2 * float(found.before_err[0, 0]), one.factor),
        Point(mean, per_adu2 * (float(found.after[0, 0]) - left), per_adu2 * float(found.after_err[0, 0]), one.factor),
    )
