"""What people ask for: handles that stand for one or several tests, repetitions, the order of a campaign, named selections."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from vison_etl.campaign.rules import UnknownTest, all_rules
from vison_etl.campaign.settings import FILE, Campaign, Selection, settings
from vison_etl.campaign.strict import RuleError, nearest

_REPEATED = re.compile(r"(?P<name>.+)\.(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class Requested:
    """A test asked for.

    Parameters
    ----------
    key
        Name of the test, with the number of the repetition behind it: ``BIAS02.1``. Unique in a request.
    test
        Name of the test, as in the ``test`` column of its script.
    handle
        The handle that stood for it, without repetition.
    """

    key: str
    test: str
    handle: str


def _campaign(name: str) -> Campaign:
    found = settings().campaigns.get(name)
    if found is None:
        raise UnknownTest(f"no campaign {name!r}; nearest: {nearest(name, settings().campaigns)}")
    return found


def _members(campaign: str) -> list[str]:
    return [name for name, rule in all_rules().items() if campaign in rule.campaigns]


def expand_handle(handle: str, campaign: str = "Full") -> tuple[str, ...]:
    """Return the tests of a campaign that a handle stands for, in order; a test's own name stands for itself.

    Raises
    ------
    UnknownTest
        For an unknown campaign, and where the campaign has no such test; the message names the nearest.
    """
    members = _members(_campaign(campaign).name)
    found = [test for test in settings().handles.get(handle, (handle,)) if test in members]
    if not found:
        near = nearest(handle, [*members, *settings().handles])
        raise UnknownTest(f"campaign {campaign} has no test or handle {handle!r}; nearest: {near}")
    return tuple(found)


def requested(handles: Iterable[str], campaign: str = "Full") -> tuple[Requested, ...]:
    """Expand handles, with or without a repetition ``NAME.i``, into tests in the order given.

    Parameters
    ----------
    handles
        Handles or names of tests. ``FLAT02.2`` gives ``FLAT02_590.2``, ``FLAT02_730.2``, ...
    campaign
        Campaign that the tests belong to.

    Raises
    ------
    UnknownTest
        For an unknown campaign or handle.
    RuleError
        If a test is asked for twice under one key, or repeated in a campaign without repetitions.
    """
    chosen: dict[str, Requested] = {}
    for asked in handles:
        match = _REPEATED.fullmatch(asked)
        handle, suffix = (match["name"], f".{int(match['number'])}") if match else (asked, "")
        tests = expand_handle(handle, campaign)
        if match and not _campaign(campaign).may_repeat:
            raise RuleError(f"{asked}: tests of campaign {campaign} are not repeated; ask for {handle}")
        for test in tests:
            key = f"{test}{suffix}"
            if key in chosen:
                raise RuleError(f"{asked}: {key} is asked for twice; a repetition is written {test}.1")
            chosen[key] = Requested(key, test, handle)
    return tuple(chosen.values())


@cache
def in_campaign_order(campaign: str = "Full") -> tuple[Requested, ...]:
    """Return all tests of a campaign in the order of its scripts, those without exposures of their own included.

    Raises
    ------
    UnknownTest
        For an unknown campaign.
    RuleError
        If the order of the campaign leaves a test out.
    """
    ordered = requested(_campaign(campaign).order, campaign)
    left_out = set(_members(campaign)) - {one.test for one in ordered}
    if left_out:
        raise RuleError(f"{FILE}: campaign.{campaign}: 'order' lacks {', '.join(sorted(left_out))}")
    return ordered


def selection(name: str) -> Selection:
    """Return a named selection; ``UnknownTest`` names the nearest ones."""
    found = settings().selections.get(name)
    if found is None:
        raise UnknownTest(f"no selection {name!r}; nearest: {nearest(name, settings().selections)}")
    return found
