"""The cheapest walk through a structure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vison_etl.campaign.walk import walk


def slots_of(observed: list[int], *commanded: list[int], paused: tuple[int, ...] = ()):
    """Walk exposures of kinds ``observed`` through structures of kinds ``commanded``; pauses before the named exposures."""
    seen = np.array(observed)
    found = walk(
        [seen[:, None] == np.array(kinds)[None, :] for kinds in commanded], np.isin(np.arange(len(observed)), paused)
    )
    return found.acquisition.tolist(), found.slot.tolist(), found.structure.tolist()


def test_what_was_commanded_is_one_acquisition():
    assert slots_of([1, 1, 2, 3], [1, 1, 2, 3]) == ([0] * 4, [0, 1, 2, 3], [0] * 4)


def test_lost_exposures_do_not_shift_the_rest():
    assert slots_of([1, 3, 3], [1, 1, 2, 3, 3])[1] == [0, 3, 4]
    assert slots_of([2, 3], [1, 1, 2, 3])[1] == [2, 3]


def test_a_repeat_is_another_acquisition():
    assert slots_of([1, 2, 3, 1, 2, 3], [1, 2, 3])[0] == [0, 0, 0, 1, 1, 1]


def test_an_aborted_start_is_another_acquisition():
    assert slots_of([1, 1, 2, 1, 1, 2, 2, 3], [1, 1, 2, 2, 3])[:2] == ([0] * 3 + [1] * 5, [0, 1, 2, 0, 1, 2, 3, 4])


def test_an_aborted_start_within_equal_exposures_is_found_at_the_pause():
    assert slots_of([1] * 14, [1] * 10, paused=(4,))[0] == [0] * 4 + [1] * 10


def test_without_a_pause_the_cut_that_ends_complete_is_taken():
    assert slots_of([1] * 14, [1] * 10)[0] == [0] * 4 + [1] * 10


def test_a_pause_within_a_test_does_not_cut_it():
    assert slots_of([1] * 10, [1] * 10, paused=(4,))[0] == [0] * 10
    assert slots_of([1, 1, 2, 2, 3], [1, 1, 2, 2, 3], paused=(2, 3))[0] == [0] * 5


def test_an_exposure_of_no_column_is_extra_and_costs_no_slot():
    assert slots_of([1, 9, 2, 3], [1, 2, 3])[:2] == ([0] * 4, [0, -1, 1, 2])
    assert slots_of([9, 1, 2, 3], [1, 2, 3])[:2] == ([0] * 4, [-1, 0, 1, 2])


def test_one_exposure_too_many_is_extra_and_the_last_of_its_kind():
    assert slots_of([1, 1, 1, 2], [1, 1, 2])[1] == [0, 1, -1, 2]
    assert slots_of([1] * 11, [1] * 10)[1] == [*range(10), -1]


def test_a_lone_late_exposure_takes_its_slot():
    commanded = [kind for kind in range(11) for _ in range(9)]
    assert [commanded[slot] for slot in slots_of([0, 10], commanded)[1]] == [0, 10]
    assert [commanded[slot] for slot in slots_of([10], commanded)[1]] == [10]


def test_a_stray_exposure_of_a_later_column_is_extra():
    commanded = [kind for kind in range(5) for _ in range(4)]
    assert slots_of([*commanded[:7], 4, *commanded[7:]], commanded)[1] == [*range(7), -1, *range(7, 20)]


def test_pauses_between_equal_pairs_do_not_begin_anew():
    commanded = [0, 1, 0, 1, 2, 3, 0, 1]
    assert slots_of(commanded, commanded, paused=(2, 4, 6))[0] == [0] * 8


def test_nothing_agrees():
    assert slots_of([9, 9], [1, 2])[:2] == ([0, 0], [-1, -1])


def test_equal_columns_are_told_apart_by_their_order():
    commanded = [0, 5, 1, 5, 2, 5, 5, 5, 5, 3, 5]
    assert slots_of(commanded, commanded)[1] == list(range(11))


def test_the_structure_that_agrees_is_chosen_for_each_acquisition():
    acquisition, slot, structure = slots_of([1, 2, 3, 1, 7, 8], [1, 2, 3], [1, 7, 8])
    assert (acquisition, slot, structure) == ([0, 0, 0, 1, 1, 1], [0, 1, 2] * 2, [0, 0, 0, 1, 1, 1])


def test_of_equal_structures_the_first_is_chosen():
    assert slots_of([1, 2], [1, 2], [1, 2])[2] == [0, 0]


def test_no_exposure_gives_an_empty_walk():
    found = walk([np.zeros((0, 3), dtype=bool)], np.zeros(0, dtype=bool))
    assert found.slot.size == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_exposures_lost_from_distinct_columns_leave_the_others_in_place(data):
    frames = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=8))
    commanded = [kind for kind, count in enumerate(frames) for _ in range(count)]
    kept = sorted(data.draw(st.sets(st.sampled_from(range(len(commanded))), min_size=1)))
    acquisition, slot, _ = slots_of([commanded[i] for i in kept], commanded)
    assert set(acquisition) == {0}
    assert [commanded[s] for s in slot] == [commanded[i] for i in kept]
    assert all(b > a for a, b in pairwise(slot))


@pytest.mark.parametrize("length", [2, 4, 11])
def test_repeats_of_a_structure_of_any_length(length):
    kinds = list(range(length))
    assert slots_of(kinds * 3, kinds)[0] == [n for n in range(3) for _ in kinds]
