"""Which exposures agree with which columns of a structure, by the keys that tell its columns apart.

Keys that are the same in all columns (voltages, clocks) do not decide where an exposure belongs, only whether it is as
commanded. Exposure times follow from the chamber. Where it is not known, or where most times in the log are none of its times
(the scripts were made for another profile), times are compared as ratios: full well is the time for which most exposures have
one of the commanded percentages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vison_etl.campaign.columns import Value
from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.logged import compared_names, logged_names, logged_values, tolerance
from vison_etl.campaign.settings import settings
from vison_etl.campaign.structures import Structure

Bools = NDArray[np.bool_]

_TIME = "exptime_s"
_TOLD_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of rows of a log with a structure.

    Parameters
    ----------
    matrix
        Shape (rows, columns): whether the row may belong to the column.
    note
        What was not compared as commanded, for people; None if all was.
    """

    matrix: Bools
    note: str | None


def _near(name: str, found: pl.Series, wanted: Sequence[Value]) -> Bools:
    """Compare every row with every column; a missing value agrees with all."""
    if found.dtype == pl.String:
        rows, columns = np.array(found.to_list(), dtype=object)[:, None], np.array(wanted, dtype=object)[None, :]
        return np.asarray((rows == columns) | (rows == None) | (columns == None), dtype=bool)  # noqa: E711 - elementwise
    target = np.array([np.nan if value is None else float(value) for value in wanted])[None, :]
    value = found.cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
    atol, rtol = tolerance(name)
    return np.asarray(~(np.abs(value - target) > atol + rtol * np.abs(target)), dtype=bool)


def identity_names(definition: TestDefinition, structure: Structure) -> list[str]:
    """Return the columns of ``exposures`` that tell where an exposure belongs: those named, and those that vary."""
    values = [logged_values(column) for column in structure.columns]
    varies = {name for name in compared_names(definition.waived) if len({row[name] for row in values}) > 1}
    if len({column.percent for column in structure.columns}) > 1:
        varies.add(_TIME)
    named = {name for name, keys in logged_names().items() if set(keys) & set(definition.identity)}
    return [name for name in compared_names(definition.waived) if name in varies | named]


def _scale_s(times: NDArray[np.float64], percents: NDArray[np.float64]) -> float | None:
    """Return the time to full well by which most times are one of the percentages; the longest of equals, None without any."""
    lit = np.unique(times[np.isfinite(times) & (times > 0)])
    share = np.unique(percents[percents > 0])
    if not lit.size or not share.size:
        return None
    scales = np.unique(100.0 * lit[:, None] / share[None, :])[::-1]
    wanted = scales[:, None] * share[None, :] / 100.0
    gap = np.abs(times[None, :, None] - wanted[:, None, :]) / wanted[:, None, :]
    counts = (gap <= settings().matching.rtol).any(axis=2).sum(axis=1)
    return float(scales[int(np.argmax(counts))])


def _by_ratio(found: pl.Series, structure: Structure) -> tuple[Bools, str]:
    rated = [column for column in structure.columns if column.percent is not None]
    everywhere = np.ones((found.len(), len(structure.columns)), dtype=bool)
    if len({(column.filter_label, column.full_well) for column in rated}) > 1:
        return everywhere, "exposure times not compared"
    times = found.cast(pl.Float64).fill_null(np.nan).to_numpy()
    scale_s = _scale_s(times, np.array([column.percent for column in rated], dtype=np.float64))
    if scale_s is None:
        return everywhere, "exposure times not compared"
    wanted: list[Value] = [
        logged_values(column)[_TIME] if column.percent is None else column.percent / 100.0 * scale_s
        for column in structure.columns
    ]
    return _near(_TIME, found, wanted), f"exposure times compared as ratios only, as of a full well of {scale_s:.4g} s"


def _times(rows: pl.DataFrame, structures: Sequence[Structure]) -> list[tuple[Bools, str | None]]:
    """Compare exposure times with each structure: in seconds, or by ratio if in seconds they tell less than half of the rows."""
    found = rows[_TIME]
    direct = [_near(_TIME, found, [logged_values(c)[_TIME] for c in s.columns]) for s in structures]
    is_rated = [any(column.percent is not None for column in s.columns) for s in structures]
    told = np.logical_or.reduce([matrix.any(axis=1) for matrix in direct])
    is_known = all(logged_values(c)[_TIME] is not None for s in structures for c in s.columns)
    if not any(is_rated) or (is_known and told.mean() >= _TOLD_ENOUGH):
        return [(matrix, None) for matrix in direct]
    by_ratio: list[tuple[Bools, str | None]] = [
        _by_ratio(found, s) if r else (m, None) for s, r, m in zip(structures, is_rated, direct, strict=True)
    ]
    told_by_ratio = np.logical_or.reduce([matrix.any(axis=1) for matrix, _ in by_ratio])
    return by_ratio if not is_known or told_by_ratio.sum() > told.sum() else [(matrix, None) for matrix in direct]


def agreements(rows: pl.DataFrame, definition: TestDefinition, structures: Sequence[Structure]) -> list[Agreement]:
    """Compare rows of ``exposures``, all of one chamber, with each structure that they may follow."""
    timed = _times(rows, structures) if _TIME in rows.columns else [(None, "no exposure times")] * len(structures)
    result = []
    for structure, (time_matrix, note) in zip(structures, timed, strict=True):
        values = [logged_values(column) for column in structure.columns]
        matrix = np.ones((rows.height, len(values)), dtype=bool)
        for name in identity_names(definition, structure):
            if name == _TIME and time_matrix is not None:
                matrix &= time_matrix
            elif name in rows.columns:
                matrix &= _near(name, rows[name], [row[name] for row in values])
        result.append(Agreement(matrix, note))
    return result
