"""Cutting the exposures of a test into acquisitions: the cheapest walk through the commanded structure.

Exposures come in the order of acquisition, slots in the order of command. A walk gives each exposure a slot of the current
acquisition further on than the last one, or none (it is extra), or lets it begin another acquisition. What is odd costs:

    slots passed over        the exposures were lost or refused; hardly more for many than for one
    an extra exposure
    a new beginning          less after an interruption
    an acquisition left      before its last slot; a little more for the last acquisition of all, so that of two equal cuts
                             the one that ends complete is chosen
    going on                 in the same acquisition after an interruption

so that an exposure that agrees with a later slot takes it, one or two too many are extra, and more of them begin anew. The walk of
least cost is found exactly, by dynamic programming: one step per exposure, the state being the last slot filled. All costs are
multiples of 1/512, so that sums are exact and the result does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_PASSED, _PASSED_EACH = 0.5, 1 / 512
_EXTRA = 1.0
_BEGIN = 1.75
_BEGIN_AFTER_PAUSE = 0.5
_LEFT = 7 / 16
_LEFT_LAST = 1 / 2
_WENT_ON = 0.75
_OTHER_STRUCTURE = 1 / 64

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Walk:
    """Where each exposure went.

    Parameters
    ----------
    acquisition
        Shape (n,): index of the acquisition, 0, 1, ... in time.
    structure
        Shape (n,): index of the structure that the acquisition follows.
    slot
        Shape (n,): slot within the structure, -1 for an extra exposure.
    """

    acquisition: Ints
    structure: Ints
    slot: Ints


def _gap(n_slots: Ints) -> Floats:
    """Return the cost of passing over so many slots."""
    return np.asarray(np.where(n_slots > 0, _PASSED + _PASSED_EACH * n_slots, 0.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _States:
    """All structures side by side. State ``first[k]`` of structure k: nothing filled yet; the next ones: slot 0, 1, ... filled.

    ``leaving`` and ``opening`` are the costs of leaving an acquisition in a state and of beginning one in it, apart from
    what every beginning costs; a beginning with an extra exposure leads to the state in which nothing is filled.
    """

    first: Ints
    structure: Ints
    slot: Ints
    itself: Ints
    leaving: Floats
    opening: Floats

    @classmethod
    def of(cls, lengths: Sequence[int]) -> _States:
        """Lay out the states of structures with these numbers of slots."""
        sizes = np.asarray(lengths, dtype=np.intp) + 1
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        structure = np.repeat(np.arange(len(sizes), dtype=np.intp), sizes)
        itself = np.arange(sizes.sum(), dtype=np.intp)
        slot = itself - first[structure] - 1
        leaving = np.where(slot == sizes[structure] - 2, 0.0, _LEFT)
        opening = np.where(slot < 0, _EXTRA, _gap(slot)) + _OTHER_STRUCTURE * structure
        return cls(first, structure, slot, itself, leaving, opening)


def _best_before(cost: Floats, states: _States) -> tuple[Floats, Ints]:
    """Return, for each slot state, the least cost of filling it from a state before it, and that state.

    Filling slot s after slot p costs cost[p] + gap(s - p - 1): the neighbour, or a running minimum of cost[p] less the slope of
    the gap. Equal: the nearest p.
    """
    best, source = np.full(cost.size, np.inf), np.zeros(cost.size, dtype=np.intp)
    slope = _PASSED_EACH * states.itself
    level = cost - slope
    for begin, end in pairwise([*states.first.tolist(), cost.size]):
        running = np.minimum.accumulate(level[begin : end - 1])
        where = np.maximum.accumulate(np.where(level[begin : end - 1] <= running, states.itself[begin : end - 1], 0))
        passing = running + _PASSED + slope[begin : end - 1]
        neighbour = cost[begin : end - 1]
        is_next = neighbour <= passing
        best[begin + 1 : end] = np.where(is_next, neighbour, passing)
        source[begin + 1 : end] = np.where(is_next, states.itself[begin : end - 1], where)
    return best, source


def _step(cost: Floats, allowed: Bools, states: _States, *, is_paused: bool) -> tuple[Floats, Ints, NDArray[np.int8]]:
    """Take one exposure: new costs, the state each came from, and how (0 filled, 1 extra, 2 began, 3 began with an extra).

    ``allowed`` is true in the states whose slot the exposure agrees with.
    """
    went_on, begin = (_WENT_ON, _BEGIN_AFTER_PAUSE) if is_paused else (0.0, _BEGIN)
    leave = cost + states.leaving
    left = int(leave.argmin())
    filled, source = _best_before(cost, states)
    new = np.where(allowed, filled + went_on, np.inf)
    how = np.zeros(cost.size, dtype=np.int8)
    extra = cost + (_EXTRA + went_on)
    stays = extra <= new
    new, source, how[stays] = np.where(stays, extra, new), np.where(stays, states.itself, source), 1
    opened = leave[left] + begin + states.opening
    begins = (opened < new) & (allowed | (states.slot < 0))
    new, source, how[begins] = np.where(begins, opened, new), np.where(begins, left, source), 2
    how[begins & (states.slot < 0)] = 3
    return new, source, how


def walk(allowed: Sequence[Bools], paused: Bools) -> Walk:
    """Find the cheapest walk of exposures through one or more structures.

    Parameters
    ----------
    allowed
        Per structure, shape (n, slots): whether exposure f agrees with slot s.
    paused
        Shape (n,): whether the test was interrupted before exposure f.

    Returns
    -------
    Walk
        Equal inputs give equal walks; of equal costs, earlier structures are preferred, later extra exposures, and going on
        to beginning anew.
    """
    n = paused.size
    states = _States.of([matrix.shape[1] for matrix in allowed])
    may = np.zeros((n, states.slot.size), dtype=bool)
    for index, matrix in enumerate(allowed):
        may[:, states.first[index] + 1 : states.first[index] + 1 + matrix.shape[1]] = matrix
    source = np.zeros((n, states.slot.size), dtype=np.intp)
    how = np.zeros((n, states.slot.size), dtype=np.int8)
    cost = np.where(states.slot < 0, _OTHER_STRUCTURE * states.structure, np.inf)
    for f in range(n):
        cost, source[f], how[f] = _step(cost, may[f], states, is_paused=bool(paused[f]) and f > 0)
    return _trace(source, how, int(np.argmin(cost + np.where(states.leaving > 0, _LEFT_LAST, 0.0))), states)


def _trace(source: Ints, how: NDArray[np.int8], state: int, states: _States) -> Walk:
    n = len(how)
    acquisition, structure, slot = (np.zeros(n, dtype=np.intp) for _ in range(3))
    for f in range(n - 1, -1, -1):
        code = how[f, state]
        structure[f] = states.structure[state]
        slot[f] = states.slot[state] if code in {0, 2} else -1
        acquisition[f] = code >= 2 and f > 0
        state = int(source[f, state])
    return Walk(np.cumsum(acquisition), structure, slot)
