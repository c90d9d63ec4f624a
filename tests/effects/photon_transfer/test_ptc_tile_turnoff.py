from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.closure.ptc_truth import PTC01, TILES, FullWell, Physics, Tiles, simulate_tiles
from vison_etl.effects.photon_transfer.bracket import TurnoffLimits
from vison_etl.effects.photon_transfer.exponential import fit_exponential
from vison_etl.effects.photon_transfer.model import Fit, Points
from vison_etl.effects.photon_transfer.tile_turnoff import TileTurnoff, tile_turnoffs
from vison_etl.effects.photon_transfer.turnoff import TurnoffData

LIMITS = TurnoffLimits()
WHOLE = 5.3e4
"""Levels below it are not cut by the ADC."""


def data_of(found: Tiles) -> TurnoffData:
    usable = np.isfinite(found.variance) & (found.mean < WHOLE)
    points = Points(found.mean, found.variance, found.variance_err / found.variance)
    return TurnoffData(
        points,
        found.kurtosis,
        found.kurtosis_err,
        found.correlation,
        found.correlation_err,
        found.pair,
        found.level,
        usable,
    )


def fit_of(data: TurnoffData, top_adu: float) -> Fit:
    return fit_exponential(data.points[np.flatnonzero(data.usable & (data.points.mean_adu < top_adu))])


def search(found: Tiles, top_adu: float = 3e4) -> list[TileTurnoff]:
    data = data_of(found)
    tile = np.arange(found.mean.size) % TILES
    return tile_turnoffs(data, tile, fit_of(data, top_adu), top_adu, LIMITS)


@pytest.fixture(scope="module")
def good() -> Tiles:
    return simulate_tiles(np.random.default_rng(41), Physics(), PTC01)


def statuses(found: list[TileTurnoff]) -> set[str]:
    return {one.status for one in found}


def test_every_tile_has_one_in_order(good: Tiles) -> None:
    found = search(good)
    assert [one.tile for one in found] == list(range(TILES))
    assert statuses(found) == {"bound"}
    # 30 pairs below 50 % of full scale and all of 70 %, 5 more at 80 % where the tile is not cut
    assert {one.n_points for one in found} <= set(range(30, 36))
    for one in found:
        assert one.lower_adu < WHOLE
        assert np.isnan([one.value_adu, one.value_adu_err, one.upper_adu]).all()


def test_a_moderate_deficit_without_other_signs_is_none(good: Tiles) -> None:
    """A lamp or a gain that changes lowers the variance, but leaves the noise normal and neighbours independent."""
    lowered = replace(good, variance=np.where(good.mean > 4e4, 0.9, 1.0) * good.variance)
    found = search(lowered)
    assert statuses(found) == {"bound"}
    # what is not understood is not called good either
    assert max(one.lower_adu for one in found) < 4e4


def test_a_variance_that_is_gone_needs_no_other_sign(good: Tiles) -> None:
    found = search(replace(good, variance=np.where(good.mean > 4e4, 0.3, 1.0) * good.variance))
    assert statuses(found) == {"ok"}
    assert max(one.lower_adu for one in found) < 4e4 < min(one.upper_adu for one in found)


@pytest.mark.parametrize("name", ["kurtosis", "correlation"])
def test_other_signs_without_a_deficit_are_none(good: Tiles, name: str) -> None:
    odd = replace(good, **{name: getattr(good, name) + np.where(good.mean > 4e4, 0.5, 0.0)})
    assert statuses(search(odd)) == {"bound"}


@pytest.mark.parametrize("name", ["kurtosis", "correlation"])
def test_either_sign_is_enough(good: Tiles, name: str) -> None:
    beyond = good.mean > 4e4
    signs = {
        name: getattr(good, name) + np.where(beyond, 0.2, 0.0),
        "variance": np.where(beyond, 0.9, 1) * good.variance,
    }
    assert statuses(search(replace(good, **signs))) == {"ok"}


def test_one_bad_level_between_good_ones_is_none(good: Tiles) -> None:
    bad = good.level == 4
    odd = replace(good, variance=np.where(bad, 0.7, 1.0) * good.variance)
    assert statuses(search(odd, top_adu=1.8e4)) == {"bound"}


@pytest.mark.parametrize("well_adu", [43_000.0, 44_500.0, 45_500.0, 46_500.0])
def test_a_variance_that_grows_before_it_falls_does_not_mislead(well_adu: float) -> None:
    """Pixels that spill in one frame of a pair and not in the other make the difference noisier, up to 40 %."""
    rng = np.random.default_rng(42)
    for _ in range(4):
        found = simulate_tiles(rng, Physics(), PTC01, full_well=FullWell(well_adu, 3000))
        nearness = (found.mean - well_adu) / 300
        grown = found.variance * np.where(nearness < 0, 1 + 0.4 * np.exp(np.minimum(nearness, 0)), 1.4)
        result = search(replace(found, variance=grown))
        assert sum(one.status == "ok" for one in result) > 0.7 * TILES
        for one in result:
            assert not one.lower_adu > well_adu
            assert not one.upper_adu < well_adu


def test_without_curve_or_levels_nothing_is_said(good: Tiles) -> None:
    data, tile = data_of(good), np.arange(good.mean.size) % TILES
    none = fit_exponential(data.points[np.arange(3)])
    assert not none.has_values
    assert statuses(tile_turnoffs(data, tile, none, 3e4, LIMITS)) == {"failed"}
    few = replace(data, usable=data.usable & ((tile != 5) | (data.level == 2)))
    found = tile_turnoffs(few, tile, fit_of(data, 3e4), 3e4, LIMITS)
    assert [one.tile for one in found if one.status == "no_data"] == [5]
    assert (found[5].n_points, np.isnan(found[5].lower_adu)) == (5, True)
