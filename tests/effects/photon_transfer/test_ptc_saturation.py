from __future__ import annotations

import numpy as np

from vison_etl.effects.photon_transfer.saturation import cut_by_adc, saturated_without_light, signal_of_pairs

LEVELS = (1e4, 3e4, 5e4, 6.1e4, 6.3e4)
TILES = 20


def flat(levels: tuple[float, ...] = LEVELS, pairs: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pair, level and signal of the tiles of a test."""
    pair = np.repeat(np.arange(len(levels) * pairs), TILES)
    level = pair // pairs
    return pair, level, np.array(levels)[level]


def everywhere(pair: np.ndarray) -> np.ndarray:
    return np.ones(pair.size, bool)


def test_a_level_takes_those_above_with_it() -> None:
    pair, level, signal = flat()
    saturated, sound = np.zeros(pair.size, bool), level < 4  # nothing is known of the last one by itself
    for one in (9, 10):  # two of the three pairs of the fourth level, more than 10 % of their tiles
        saturated[np.flatnonzero(pair == one)[:3]] = True
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, saturated, sound), level >= 3)
    saturated[np.flatnonzero(pair == 10)[:1]] = False
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, saturated, sound), pair == 9)
    saturated[np.flatnonzero(pair == 9)[:1]] = False
    assert not cut_by_adc(pair, level, signal, saturated, sound).any()
    none = np.zeros(0, int)
    assert cut_by_adc(none, none, np.zeros(0), np.zeros(0, bool), np.zeros(0, bool)).size == 0


def test_a_level_of_which_nothing_is_left_has_no_signal() -> None:
    pair, level, signal = flat()
    saturated, signal = level >= 3, np.where(level == 4, np.nan, signal)
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, saturated, everywhere(pair)), level >= 3)
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, level == 4, everywhere(pair)), level == 4)


def test_one_bad_pair_goes_alone() -> None:
    pair, level, signal = flat()
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, pair == 4, everywhere(pair)), pair == 4)


def test_pairs_that_are_none_do_not_judge_their_level() -> None:
    """Two of three frames are too bright, and saturated: the third alone says what the level is."""
    pair, level, signal = flat()
    too_bright = np.isin(pair, [6, 7])
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, too_bright, ~too_bright), too_bright)


def test_a_spoiled_level_below_good_ones_goes_alone() -> None:
    """With one pair per level: what the ADC cuts it cuts at all brighter levels."""
    pair, level, signal = flat(pairs=1)
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, level == 1, everywhere(pair)), level == 1)
    np.testing.assert_array_equal(cut_by_adc(pair, level, signal, level >= 3, everywhere(pair)), level >= 3)


def test_what_is_saturated_without_light() -> None:
    pair, _, signal = flat()
    place = np.tile(np.arange(TILES), pair.size // TILES)
    column = np.where(place == 4, 300, 0) + np.where(place == 7, 1, 0)
    by_light = np.where(signal > 6e4, 500, 0)
    np.testing.assert_array_equal(saturated_without_light(column + by_light, signal, place), column)
    # a frame of code 65535 and a particle at faint levels are none of it
    bad = column + np.where(pair == 1, 90_000, 0) + np.where((pair == 4) & (place == 2), 20, 0)
    np.testing.assert_array_equal(saturated_without_light(bad, np.where(pair == 1, np.nan, signal), place), column)
    np.testing.assert_array_equal(saturated_without_light(bad, signal, place), column)


def test_without_faint_exposures_nothing_is_known() -> None:
    pair, _, signal = flat((4e4, 5e4))
    saturated, place = np.full(pair.size, 50), np.zeros(pair.size, int)
    assert not saturated_without_light(saturated, signal, place).any()
    assert not saturated_without_light(saturated, np.full(pair.size, np.nan), place).any()
    assert not saturated_without_light(saturated, -signal, place).any()
    assert saturated_without_light(saturated[:0], signal[:0], place[:0]).size == 0


def test_signal_of_a_pair_is_that_of_its_measured_tiles() -> None:
    mean = np.array([1.0, 3.0, 5.0, np.nan])
    measured = np.array([True, True, False, False])
    np.testing.assert_array_equal(signal_of_pairs(mean, np.array([4, 4, 9, 9]), measured), [2.0, 2.0, np.nan, np.nan])
