"""From the table of covariances to the pairs of each channel that may constrain its response, and whether they agree with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import chdtrc

from vison_etl.effects.covariance.frames import measured_pairs
from vison_etl.effects.covariance.pairs import Pairs
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.nonlinearity.arrays import Key, Run
from vison_etl.effects.nonlinearity.data import Floats, Integers, Mask, Tiles
from vison_etl.effects.nonlinearity.model import Response
from vison_etl.effects.nonlinearity.pair_sums import LEAST_PAIRS, PairSums, common_tail, fit_kernel, sum_pairs
from vison_etl.effects.nonlinearity.transfer import Constraint, constrain, start

_OUTLIER_SIGMA = 5.0
_MAD = 1.4826
_MOST_OUTLIERS = 0.1
_TOP_LEVELS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """Pairs of a channel against the response that the exposure times alone give.

    ``sums``: pairs that may constrain it; None: there are too few, or they contradict it, which ``contradiction`` then says. ``dof`` 0:
    nothing to compare.
    """

    sums: PairSums | None
    chi2: float
    dof: int
    contradiction: str | None = None

    @property
    def n_levels(self) -> int:
        """Return the number of levels that constrain the response."""
        return 0 if self.sums is None else int(np.unique(self.sums.level).size)


NO_PAIRS = Checked(None, math.nan, 0)


def pair_sums(inputs: CalibrationInput, run: Run, channels: Mapping[Key, Tiles]) -> dict[Key, PairSums]:
    """Return the pairs of each channel that has enough of them.

    Both frames must be lit, of one level, their tiles all below saturation and below the level at which charge spills, their fluxes equal to
    ``flux_mismatch_max``.
    """
    table = inputs.measured.get("pair_covariances")
    if table is None or table.is_empty():
        return {}
    used = inputs.statistics.select("obsid", "ccd", "quadrant").unique()
    for obsid in ("obsid_1", "obsid_2"):
        table = table.join(used, left_on=[obsid, "ccd", "quadrant"], right_on=["obsid", "ccd", "quadrant"], how="semi")
    chosen = {}
    for key, tiles in channels.items():
        rows = table.filter(pl.col("ccd") == key[0], pl.col("quadrant") == key[1])
        if not rows.is_empty():
            chosen[key] = _of_channel(inputs, run, tiles, rows)
    kernels = {
        key: kernel
        for key, (pairs, _) in chosen.items()
        if (kernel := fit_kernel(pairs, channels[key].background_adu)) is not None
    }
    # lags are those that all have, which is no restriction: one measurement made them
    reach = {kernel.a_per_e.shape[0] for kernel in kernels.values()}
    if len(reach) != 1:
        return {}
    tail = common_tail(list(kernels.values()))
    return {
        key: sum_pairs(
            chosen[key][0], channels[key].background_adu, channels[key].noise_variance, chosen[key][1], kernel, tail
        )
        for key, kernel in kernels.items()
    }


def _of_channel(inputs: CalibrationInput, run: Run, tiles: Tiles, rows: pl.DataFrame) -> tuple[Pairs, Integers]:
    """Return the pairs of a channel that count, and their levels."""
    measured = measured_pairs(rows, int(inputs.parameters["ptc_lags"]))
    place = {obsid: k for k, obsid in enumerate(run.table["obsid"].to_list())}
    frames = np.array(
        [[place.get(row[name], -1) for name in ("obsid_1", "obsid_2")] for row in measured.frame.to_dicts()], np.int64
    ).reshape(-1, 2)
    level = run.exposures.level[frames]
    good = (frames >= 0).all(axis=1) & (level[:, 0] == level[:, 1])
    whole = np.asarray(tiles.counts.all(axis=1))
    good &= whole[frames].all(axis=1)
    good &= np.abs(measured.pairs.imbalance) <= 0.5 * float(inputs.parameters["flux_mismatch_max"])
    saturated = measured.frame["n_saturated"].fill_null(0).to_numpy()
    good &= saturated <= float(inputs.parameters["saturated_fraction_max"]) * measured.pairs.n[:, 0, 0]
    good &= measured.pairs.mean_adu > tiles.background_adu
    return measured.pairs[good], level[good, 0]


def check(response: Response, sums: PairSums, p_limit: float) -> Checked:
    """Compare pairs with a response fitted without them: chi2 knows the errors of both.

    Pairs further than 5 sigma from it are left out, at most a tenth of them. If the rest contradicts it at a probability below ``p_limit``
    the brightest level is left out, then the next, where the charge of single pixels may already spill; if that does not help, all are.
    """
    error = _root(response.covariance)
    first: Checked | None = None
    try:
        for top in range(_TOP_LEVELS + 1):
            chosen = sums[_below(sums, top)]
            if len(chosen) < LEAST_PAIRS:
                break
            used, found = _without_outliers(response, chosen, error)
            if chdtrc(found.dof, found.chi2) >= p_limit:
                return Checked(used, found.chi2, found.dof)
            first = first or Checked(None, found.chi2, found.dof, f"chi2 {found.chi2:.0f} for {found.dof} dof")
    except np.linalg.LinAlgError as failure:
        return Checked(None, math.nan, 0, str(failure))
    return first or NO_PAIRS


def _root(covariance: Floats) -> Floats:
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(np.maximum(values, 0.0)))


def _below(sums: PairSums, top: int) -> Mask:
    """Mark all pairs but those of the ``top`` brightest levels."""
    levels = np.unique(sums.level)
    mean = np.array([sums.signal_adu[sums.level == level].mean() for level in levels])
    left_out = levels[np.argsort(mean)[levels.size - top :]]
    return np.asarray(~np.isin(sums.level, left_out))


def _without_outliers(response: Response, sums: PairSums, error: Floats) -> tuple[PairSums, Constraint]:
    """Leave out the worst pair as long as it is too far; the limit grows with the scatter, so that chi2 tells of bad errors."""
    most = int(_MOST_OUTLIERS * len(sums))
    for left in range(most, -1, -1):
        found = constrain(response.basis, response.coefficients, sums, start(sums), error)
        worst = np.abs(found.pull).max(axis=1)
        scale = max(1.0, _MAD * float(np.median(np.abs(found.pull))))
        at = int(np.argmax(worst))
        if left == 0 or worst[at] <= _OUTLIER_SIGMA * scale or len(sums) <= LEAST_PAIRS:
            break
        keep = np.ones(len(sums), np.bool_)
        keep[at] = False
        sums = sums[keep]
    return sums, found
