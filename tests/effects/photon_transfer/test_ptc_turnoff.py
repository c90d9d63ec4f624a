from __future__ import annotations

import numpy as np
import pytest

from tests.closure.ptc_truth import PTC01, PTC02, TILE_PX, FullWell, Physics, Tiles, simulate_tiles
from vison_etl.effects.photon_transfer.bracket import Turnoff, TurnoffLimits
from vison_etl.effects.photon_transfer.model import Points
from vison_etl.effects.photon_transfer.saturation import cut_by_adc, signal_of_pairs
from vison_etl.effects.photon_transfer.turnoff import TurnoffData, find_turnoff

LIMITS = TurnoffLimits()
PLANS = {"PTC01": PTC01, "PTC02": PTC02}
MOT = {0.10: 1, 0.30: 1, 0.50: 1, 0.70: 1, 0.90: 1}


def search(found: Tiles, limits: TurnoffLimits = LIMITS) -> Turnoff:
    measured, saturated = np.isfinite(found.variance), found.n_saturated > 1e-4 * TILE_PX
    signal = signal_of_pairs(found.mean, found.pair, measured)
    usable = measured & ~saturated & ~cut_by_adc(found.pair, found.level, signal, saturated, measured)
    points = Points(found.mean, found.variance, found.variance_err / found.variance)
    data = TurnoffData(
        points,
        found.kurtosis,
        found.kurtosis_err,
        found.correlation,
        found.correlation_err,
        found.pair,
        found.level,
        usable,
    )
    return find_turnoff(data, limits)


def with_values(found: Tiles, **values: np.ndarray) -> Tiles:
    return Tiles(**{name: values.get(name, getattr(found, name)) for name in Tiles.__dataclass_fields__})


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("a00", [-1e-12, -1.5e-6, -3e-6])
def test_the_brighter_fatter_effect_is_no_turnoff(plan: str, a00: float) -> None:
    rng = np.random.default_rng(21)
    for _ in range(15):
        found = search(simulate_tiles(rng, Physics(a00=a00), PLANS[plan]))
        assert np.isnan(found.value_adu)
        assert np.isnan(found.upper_adu)
        # the ADC ends the curve: 80 or 90 % of full scale is the highest level it leaves whole, as the flux happens to be
        assert 0.78 * 65536 < found.lower_adu < 0.92 * 65536
        assert found.good_below_adu < 65535 - 2700


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("a00", [-1e-12, -3e-6])
@pytest.mark.parametrize(
    "full_well", [FullWell(46_000), FullWell(46_000, 3000, 0.2, 0.1), FullWell(30_000), FullWell(55_000)]
)
def test_a_full_well_is_bracketed(plan: str, a00: float, full_well: FullWell) -> None:
    rng = np.random.default_rng(22)
    results = [search(simulate_tiles(rng, Physics(a00=a00), PLANS[plan], full_well=full_well)) for _ in range(15)]
    lower, upper, good = (
        np.array([getattr(r, name) for r in results]) for name in ("lower_adu", "upper_adu", "good_below_adu")
    )
    assert np.all(lower < full_well.adu)
    assert np.all(full_well.adu < upper)
    # what the fits use is never above the full well
    assert np.all(good < full_well.adu)
    middle, error = np.array([(r.value_adu, r.value_adu_err) for r in results]).T
    assert np.all((lower < middle) & (middle < upper))
    assert np.all(error > 0.01 * full_well.adu * 0.9)
    # the widest gap between levels, 20 to 50 %, narrowed by tiles on both sides
    assert np.all(error < 3900)
    assert np.all(np.abs(middle - full_well.adu) < 2.5 * error)
    # a bin that fluctuates by 3 sigma, one in 400, makes the lower side cautious
    assert np.count_nonzero(upper - lower > 22_000) <= 2


def test_any_full_well_is_bracketed() -> None:
    rng = np.random.default_rng(30)
    for _ in range(150):
        full_well = FullWell(rng.uniform(22e3, 57e3), rng.choice([3000.0, 8000.0]))
        physics = Physics(a00=rng.choice([-1e-12, -1.5e-6, -3e-6]))
        found = search(simulate_tiles(rng, physics, PLANS[rng.choice(list(PLANS))], full_well=full_well))
        assert found.lower_adu < full_well.adu < found.upper_adu
        assert found.good_below_adu < full_well.adu


@pytest.mark.parametrize("full_well_adu", [45_000.0, 46_500.0, 47_500.0])
def test_tiles_whose_variance_grows_before_it_falls_are_not_used(full_well_adu: float) -> None:
    """Pixels that spill in one frame of a pair and not in the other make the difference noisier, up to 40 %."""
    rng = np.random.default_rng(32)
    for _ in range(10):
        found = simulate_tiles(rng, Physics(), PTC01, full_well=FullWell(full_well_adu, 3000))
        nearness = (found.mean - full_well_adu) / 300
        grown = found.variance * np.where(nearness < 0, 1 + 0.4 * np.exp(nearness), 1.4)
        result = search(with_values(found, variance=grown))
        assert result.lower_adu < full_well_adu < result.upper_adu
        assert result.good_below_adu < full_well_adu - 4 * 300 + 100


def test_an_isolated_bin_does_not_move_the_point_estimate() -> None:
    found = simulate_tiles(np.random.default_rng(33), Physics(), PTC01, full_well=FullWell(52_000))
    odd = (found.mean > 45_000) & (found.mean < 45_500)
    result = search(found)
    shaken = search(with_values(found, variance=np.where(odd, 0.95, 1.0) * found.variance))
    assert shaken.value_adu == pytest.approx(result.value_adu, abs=100)
    assert shaken.lower_adu < 45_500 < result.lower_adu
    assert shaken.good_below_adu < 45_000


def test_the_bracket_is_wider_than_the_spread_of_the_pixels() -> None:
    found = simulate_tiles(np.random.default_rng(31), Physics(), PTC01, full_well=FullWell(46_000))
    narrow, wide = (search(found, TurnoffLimits(pixel_spread=spread)) for spread in (0.0, 0.05))
    assert wide.lower_adu == narrow.lower_adu
    assert wide.value_adu == narrow.value_adu
    assert wide.upper_adu - wide.value_adu > 3 * 0.05 * 45_000 * 0.9
    assert wide.value_adu_err == pytest.approx(np.hypot(narrow.value_adu_err, 0.05 * 46_000), rel=0.05)


def test_one_pair_per_level_is_enough() -> None:
    rng = np.random.default_rng(23)
    for _ in range(10):
        assert np.isnan(search(simulate_tiles(rng, Physics(), MOT)).value_adu)
        found = search(simulate_tiles(rng, Physics(), MOT, full_well=FullWell(40_000)))
        assert found.lower_adu < 40_000 < found.upper_adu


def test_a_deficit_without_other_signs_is_none() -> None:
    """A lamp or a gain that changes lowers the variance, but leaves the noise normal and neighbours independent."""
    found = simulate_tiles(np.random.default_rng(24), Physics(), PTC01)
    lowered = with_values(found, variance=np.where(found.mean > 5e4, 0.9, 1.0) * found.variance)
    result = search(lowered)
    assert np.isnan(result.value_adu)
    # what is not understood is not called good either
    assert result.lower_adu < 5e4


def test_other_signs_without_a_deficit_are_none() -> None:
    found = simulate_tiles(np.random.default_rng(25), Physics(), PTC01)
    odd = with_values(found, kurtosis=found.kurtosis + np.where(found.mean > 5e4, 0.5, 0.0))
    assert np.isnan(search(odd).value_adu)


def test_one_bad_level_between_good_ones_is_none() -> None:
    found = simulate_tiles(np.random.default_rng(26), Physics(), PTC01)
    bad = found.level == 4
    odd = with_values(
        found, variance=np.where(bad, 0.8, 1.0) * found.variance, kurtosis=found.kurtosis + np.where(bad, 0.5, 0.0)
    )
    assert np.isnan(search(odd).value_adu)


def test_the_last_level_alone_is_enough() -> None:
    rng = np.random.default_rng(27)
    found = search(simulate_tiles(rng, Physics(), PTC01, full_well=FullWell(56_000), levels=(0.1, 0.3, 0.5, 0.7, 0.9)))
    assert found.lower_adu < 56_000 < found.upper_adu


def test_two_levels_tell_nothing() -> None:
    found = search(simulate_tiles(np.random.default_rng(28), Physics(), PTC01, levels=(0.1, 0.5)))
    assert np.isnan(found.lower_adu)
    assert 0.5 * 65536 < found.good_below_adu < 0.6 * 65536


def test_outlying_tiles_do_not_matter() -> None:
    rng = np.random.default_rng(29)
    found = simulate_tiles(rng, Physics(), PTC01)
    hit = rng.random(found.mean.size) < 0.03
    assert np.isnan(search(with_values(found, variance=np.where(hit, 1.5, 1.0) * found.variance)).value_adu)


def pinned(rng: np.random.Generator, found: Tiles, wells: np.ndarray) -> Tiles:
    """Let every pixel of a tile that is above its well be at its limit: no shot noise, read noise alone, which is normal."""
    n_pairs = found.mean.size // wells.size
    well = np.tile(wells, n_pairs)
    beyond = ~(found.mean < well)
    noise = 1.6 * (1.0 + np.sqrt(2.0 / TILE_PX) * rng.standard_normal(well.size))
    normal = rng.standard_normal((2, well.size))
    kurtosis_err, correlation_err = np.sqrt(24.0 / TILE_PX), 1.0 / np.sqrt(TILE_PX)
    values = {
        "mean_1": well,
        "mean_2": well,
        "variance": noise,
        "variance_err": np.sqrt(2.0 / TILE_PX) * noise,
        "kurtosis": kurtosis_err * normal[0],
        "kurtosis_err": kurtosis_err,
        "correlation": correlation_err * normal[1],
        "correlation_err": correlation_err,
        "n": TILE_PX,
        "n_saturated": 0,
    }
    return with_values(found, **{name: np.where(beyond, new, getattr(found, name)) for name, new in values.items()})


@pytest.mark.parametrize("plan", [PTC01, PTC02, MOT], ids=["PTC01", "PTC02", "MOT"])
@pytest.mark.parametrize("well_adu", [36_000.0, 42_000.0, 50_000.0])
def test_a_variance_that_is_gone_needs_no_other_sign(plan: dict[float, int], well_adu: float) -> None:
    rng = np.random.default_rng(34)
    for _ in range(8):
        wells = well_adu * (1.0 + 0.01 * rng.standard_normal(36))
        result = search(pinned(rng, simulate_tiles(rng, Physics(), plan), wells))
        assert result.lower_adu < wells.mean() < result.upper_adu
        assert result.lower_adu < result.value_adu < result.upper_adu
        assert result.good_below_adu < wells.max()


def test_a_variance_that_is_gone_at_the_highest_level_alone() -> None:
    """Two pairs say it; one could be two copies of a frame. Without a brighter-fatter effect no correlation is lost."""
    rng = np.random.default_rng(35)
    wells, physics = np.full(36, 54_000.0), Physics(a00=-1e-12)
    levels = (0.1, 0.3, 0.5, 0.7, 0.9)
    result = search(pinned(rng, simulate_tiles(rng, physics, PTC02, levels=levels), wells))
    assert result.lower_adu < 54_000 < result.upper_adu
    single = search(pinned(rng, simulate_tiles(rng, physics, MOT), wells))
    assert np.isnan(single.value_adu)
    assert single.lower_adu < 0.75 * 65536


def test_copies_of_a_frame_are_no_turn_off() -> None:
    found = simulate_tiles(np.random.default_rng(36), Physics(), PTC02)
    for pair in (7, 9):  # of the fourth and of the highest level that the ADC leaves
        copied = with_values(found, variance=np.where(found.pair == pair, 1e-3, found.variance))
        assert np.isnan(search(copied).value_adu)
