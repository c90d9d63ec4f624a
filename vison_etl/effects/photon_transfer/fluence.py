"""Gain against fluence: what each level says by itself, the bend of the curve being that of the adopted fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vison_etl.effects.covariance.levels import Level
from vison_etl.effects.photon_transfer.channel import Channel
from vison_etl.effects.photon_transfer.inputs import Key
from vison_etl.effects.photon_transfer.model import exponential_variance
from vison_etl.effects.photon_transfer.tiles import Tiles


@dataclass(frozen=True, slots=True)
class VarianceLevel:
    """Mean variance of a script column, ADU², and that of the adopted model; ``residual_sigma`` their difference over its error."""

    label: str | None
    mean_adu: float
    mean_adu_err: float
    variance_adu2: float
    variance_adu2_err: float
    model_adu2: float
    residual_sigma: float
    is_used: bool


def variance_levels(
    channel: Channel, tiles: Tiles, labels: Mapping[int, str | None], levels: list[Level]
) -> list[VarianceLevel]:
    """Return the levels of what the adopted fit was made of: covariances of pairs, else tiles; none without a fit."""
    if not channel.fit.has_values:
        return []
    if channel.adopted == "covariance":
        return [_of_pairs(level) for level in levels]
    return list(_of_tiles(channel, tiles, labels))


def _of_pairs(level: Level) -> VarianceLevel:
    return VarianceLevel(
        level.label,
        level.mean_adu,
        level.mean_adu_err,
        float(level.covariance_adu2[0, 0]),
        float(level.covariance_adu2_err[0, 0]),
        float(level.model_adu2[0, 0]),
        float(level.residual_sigma[0, 0]),
        level.is_used,
    )


def _of_tiles(channel: Channel, tiles: Tiles, labels: Mapping[int, str | None]) -> Iterator[VarianceLevel]:
    """Average the used tiles of each level, or all good ones where none was used."""
    fit = channel.fit
    for level in np.unique(tiles.level).tolist():
        here = (tiles.level == level) & channel.selection.good
        is_used = bool((here & channel.tiles_used).any())
        chosen = here & channel.tiles_used if is_used else here
        n = int(np.count_nonzero(chosen))
        if n == 0:
            continue
        mean, variance = tiles.mean_adu[chosen], tiles.variance_adu2[chosen]
        model = exponential_variance(mean, fit.gain_e_per_adu, fit.a00_per_e, fit.n00_adu2)
        foretold = float(np.sqrt(np.sum((channel.selection.points.relative_err[chosen] * model) ** 2))) / n
        difference = float(np.mean(variance - model))
        yield VarianceLevel(
            labels[level],
            float(np.mean(mean)),
            float(np.sqrt(np.sum(tiles.mean_adu_err[chosen] ** 2))) / n,
            float(np.mean(variance)),
            float(np.sqrt(np.sum(tiles.variance_adu2_err[chosen] ** 2))) / n,
            float(np.mean(model)),
            difference / foretold if foretold > 0.0 else math.nan,
            is_used,
        )


def fluence_rows(key: Key, channel: Channel, levels: list[VarianceLevel]) -> Iterator[dict[str, Any]]:
    """Yield g(mu) = mu / (V - V_model + mu / g) of each level; NULL where that is no gain.

    It is g at all signals if the model is right. Its error is that of V alone: g and the bend are common to all levels.
    """
    for level in levels:
        shot = level.variance_adu2 - level.model_adu2 + level.mean_adu / channel.fit.gain_e_per_adu
        gain = level.mean_adu / shot if shot > 0.0 else math.nan
        yield {
            "ccd": key[0],
            "quadrant": key[1],
            "script_column": level.label,
            "model": channel.adopted,
            "fluence_adu": level.mean_adu,
            "fluence_adu_err": level.mean_adu_err,
            "variance_adu2": level.variance_adu2,
            "variance_adu2_err": level.variance_adu2_err,
            "model_adu2": level.model_adu2,
            "residual_sigma": level.residual_sigma,
            "gain_e_per_adu": gain,
            "gain_e_per_adu_err": gain * level.variance_adu2_err / shot if shot > 0.0 else math.nan,
            "used": level.is_used,
        }
