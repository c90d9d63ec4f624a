"""From rows of ``pair_covariances`` to arrays of a channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.effects.covariance.model import Floats
from vison_etl.effects.covariance.pairs import Mask, Pairs

_PAIR = (
    "obsid_1",
    "obsid_2",
    "script_column",
    "mean_1_adu",
    "mean_2_adu",
    "mean_adu",
    "mean_adu_err",
    "spread_adu",
    "n_saturated",
    "n_cells_out",
)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPairs:
    """Pairs of one channel whose covariances are all there, in order of their exposures.

    ``error_adu2``: one-sigma errors as measured, shape (P, r, r). ``frame``: one row per pair, of ``obsid_1, obsid_2,
    script_column, mean_adu, mean_adu_err, n_saturated, n_cells_out``. ``n_incomplete``: pairs left out because a lag, a mean or the spread is
    missing.
    """

    pairs: Pairs
    error_adu2: Floats
    frame: pl.DataFrame
    n_incomplete: int

    def __getitem__(self, chosen: Mask) -> MeasuredPairs:
        """Return the pairs chosen by a mask."""
        return MeasuredPairs(
            self.pairs[chosen], self.error_adu2[chosen], self.frame.filter(pl.Series(chosen)), self.n_incomplete
        )


def measured_pairs(rows: pl.DataFrame, reach: int) -> MeasuredPairs:
    """Gather the rows of one channel.

    Parameters
    ----------
    rows
        Rows of ``pair_covariances`` of one CCD and quadrant, in any order; none is no error.
    reach
        Lags 0 ... reach - 1 of each axis are taken; if fewer were measured, those.

    Returns
    -------
    MeasuredPairs
        (+i, +j) and (+i, -j) averaged; the number of pixel pairs is the mean of both.
    """
    reach = max(1, min(reach, *(int(rows[lag].max() or 0) + 1 for lag in ("lag_x", "lag_y")))) if rows.height else reach  # type: ignore[arg-type]
    rows = rows.filter(pl.col("lag_x").is_between(0, reach - 1), pl.col("lag_y").abs() < reach)
    zero = rows.filter(lag_x=0, lag_y=0).select(_PAIR).unique(["obsid_1", "obsid_2"]).sort("obsid_1", "obsid_2")
    index = zero.select("obsid_1", "obsid_2").with_row_index("pair")
    rows = rows.join(index, on=["obsid_1", "obsid_2"], how="inner")
    where = tuple(rows[name].to_numpy().astype(np.int64) for name in ("pair", "lag_x", "lag_y"))
    cube = (where[0], where[1], where[2] + reach - 1)
    value, error, n = (
        _cube(rows, name, cube, zero.height, reach) for name in ("covariance_adu2", "covariance_adu2_err", "n")
    )
    plus, minus = _halves(value, reach)
    errors, counts = _halves(error, reach), _halves(n, reach)
    mean_1, mean_2, mean, spread = (
        zero[name].cast(pl.Float64).to_numpy() for name in ("mean_1_adu", "mean_2_adu", "mean_adu", "spread_adu")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        imbalance = (mean_1 - mean_2) / (mean_1 + mean_2)
        pairs = Pairs(
            mean,
            imbalance,
            spread,
            0.5 * (plus + minus),
            0.5 * (counts[0] + counts[1]),
            (plus - minus)[:, 1:, 1:],
        )
        complete = np.isfinite(imbalance + mean + spread) & (mean > 0.0)
        complete &= np.all(np.isfinite(pairs.covariance_adu2) & (pairs.n > 0.0), axis=(1, 2))
        off_axis = np.outer(np.arange(reach) > 0, np.arange(reach) > 0)
        error_of_mean = np.where(off_axis, 0.5 * np.hypot(*errors), errors[0])
    found = MeasuredPairs(pairs, error_of_mean, zero, int(np.count_nonzero(~complete)))
    return found[complete]


def _cube(rows: pl.DataFrame, name: str, where: tuple[NDArray[np.int64], ...], n_pairs: int, reach: int) -> Floats:
    """Return a column by pair, lag_x and lag_y + reach - 1; NaN where there is no row."""
    cube = np.full((n_pairs, reach, 2 * reach - 1), np.nan)
    cube[where] = rows[name].cast(pl.Float64).to_numpy()
    return cube


def _halves(cube: Floats, reach: int) -> tuple[Floats, Floats]:
    """Return the values at (+i, +j) and at (+i, -j), shape (P, r, r) each; along the axes both are the same."""
    plus = cube[:, :, reach - 1 :]
    minus = cube[:, :, reach - 1 :: -1].copy()
    minus[:, 0, :] = plus[:, 0, :]
    return plus, minus
