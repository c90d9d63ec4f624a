"""Commanded structures of the tests: the columns of a test in a campaign, variant and chamber, and the time they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vison_etl.campaign.columns import Column, resolve
from vison_etl.campaign.commands import DEFAULT, column_commands
from vison_etl.campaign.definitions import TestDefinition, UnknownTest, definition
from vison_etl.campaign.definitions import test_names as tests
from vison_etl.campaign.rules import TestRule, rule_of
from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import RuleError
from vison_etl.instrument.chambers import chamber as chamber_profile

__all__ = [
    "Column",
    "Structure",
    "TestDefinition",
    "UnknownTest",
    "definition",
    "duration_min",
    "structure",
    "structures_of",
    "tests",
]


@dataclass(frozen=True, slots=True)
class Structure:
    """Commanded columns of a test in one campaign, variant and chamber (None: not known)."""

    test: str
    campaign: str
    variant: str
    chamber: str | None
    columns: tuple[Column, ...]

    @property
    def n_frames(self) -> int:
        """Exposures commanded."""
        return sum(column.frames for column in self.columns)

    @property
    def label(self) -> str:
        """The variant as stored in ``acquisitions``: with the campaign before it unless that is Full."""
        return self.variant if self.campaign == "Full" else f"{self.campaign}:{self.variant}"


def _single_source(rule: TestRule) -> str:
    if len(rule.frames_of) > 1:
        raise RuleError(f"{rule.name} uses the frames of {', '.join(rule.frames_of)}: ask for their structures")
    return rule.frames_of[0]


def structure(test: str, chamber: str | None, campaign: str = "Full", variant: str = DEFAULT) -> Structure:
    """Return the commanded structure of a test.

    Parameters
    ----------
    test
        Name of the test. A test with frames of another one has that one's structure; a test without script has no columns.
    chamber
        Chamber profile; None if unknown: exposure times, slots and mirror positions that depend on it are None.
    campaign
        Campaign; a test need not belong to it to be asked for. One that does not change the test has the structure of Full.
    variant
        ``default``, a variant of the test, or ``as_acquired``: what was really commanded, which is ``default`` unless the
        test says otherwise.

    Raises
    ------
    UnknownTest, KeyError, RuleError
        For an unknown test, campaign or variant, an unknown chamber, a chamber without the filters of the test; for a
        test with frames of several others.
    """
    return _structure(test, chamber, campaign, variant)


@cache
def _structure(test: str, chamber: str | None, campaign: str, variant: str) -> Structure:
    rule = rule_of(test)
    if rule.frames_of:
        return _structure(_single_source(rule), chamber, campaign, variant)
    commands = column_commands(test, campaign, variant)
    profile = None if chamber is None else chamber_profile(chamber)
    columns = tuple(resolve(rule.where, f"col{index:03d}", row, profile) for index, row in enumerate(commands, start=1))
    return Structure(test, campaign, variant, chamber, columns)


def _slots(commanded: Structure, *, with_percent: bool) -> list[tuple[object, ...]]:
    """Return what tells one exposure after the other, without the number of exposures that follow it."""
    told = [
        (column.percent if with_percent else None, *(v for key, v in column.values.items() if key != "frames"))
        for column in commanded.columns
    ]
    return [what for what, column in zip(told, commanded.columns, strict=True) for _ in range(column.frames)]


def _begins(one: Structure, other: Structure) -> bool:
    """Tell whether the exposures of ``one`` are the first ones of ``other``. A single time of an unknown chamber tells nothing."""
    with_percent = one.chamber is not None or len({column.percent for column in one.columns}) > 1
    slots = _slots(one, with_percent=with_percent)
    return _slots(other, with_percent=with_percent)[: len(slots)] == slots


def _of_campaign(test: str, chamber: str | None, campaign: str) -> tuple[Structure, ...]:
    variants = (DEFAULT, *(name for name in rule_of(test).variants_in(campaign) if name != DEFAULT))
    return tuple(_structure(test, chamber, campaign, variant) for variant in variants)


@cache
def structures_of(test: str, chamber: str | None, campaign: str | None = None) -> tuple[Structure, ...]:
    """Return every structure that exposures of a test may follow, the default one first.

    Parameters
    ----------
    test, chamber
        As in ``structure``.
    campaign
        Only the variants of that campaign. None: those of Full, then those of other campaigns that change the test. One whose
        exposures are all the first ones of an earlier structure is left out, since it cannot be told from an acquisition
        that was aborted: it is to be asked for by its campaign.

    Raises
    ------
    UnknownTest, KeyError, RuleError
        As ``structure``.
    """
    rule = rule_of(test)
    if rule.frames_of:
        return structures_of(_single_source(rule), chamber, campaign)
    if campaign is not None:
        return _of_campaign(test, chamber, campaign)
    found = list(_of_campaign(test, chamber, "Full"))
    for name in rule.in_campaign:
        if name != "Full":
            more = _of_campaign(test, chamber, name)
            found += [one for one in more if not any(_begins(one, earlier) for earlier in tuple(found))]
    return tuple(found)


def _seconds(values: Mapping[str, object]) -> float | None:
    if values["exptime"] is None:
        return None
    v = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
    model = settings().duration
    rows = v["vend"] - v["vstart"]
    time_s = v["exptime"] + model.transfer_overhead_s
    time_s += v["siflsh_p"] * 1e-3 if v["siflsh"] else 0.0
    time_s += model.rows * model.clock_phases * v["toi_fl"] * 1e-6
    time_s += rows * (model.clock_phases * v["toi_ro"] * 1e-6 + model.row_s)
    if v["chinj"] or v["s_tpump"] or v["v_tpump"]:
        time_s += model.rows * (model.clock_phases * v["toi_ch"] * 1e-6 + v["chin_dly"] * model.row_s)
    if v["s_tpump"]:
        time_s += rows * v["s_tp_cnt"] * (2 * model.serial_transfer_us + v["dwell_s"]) * 1e-6
    if v["v_tpump"]:
        time_s += v["v_tp_cnt"] * (model.clock_phases * v["toi_tp"] + v["dwell_v"]) * 1e-6
    return time_s


def duration_min(commanded: Structure) -> float | None:
    """Return the time to acquire a structure, minutes; None where exposure times are not known and without columns.

    Per exposure: exposure, serial flush, one flush of the image, read-out, injection and pumping if on, transfer::

        t = exptime + [siflsh] siflsh_p + R 4 toi_fl + n (4 toi_ro + t_row) + [chinj or pumping] R (4 toi_ch + chin_dly t_row)
            + [s_tpump] n s_tp_cnt (2 t_s + dwell_s) + [v_tpump] v_tp_cnt (4 toi_tp + dwell_v) + overhead

    with n = vend - vstart rows, R image rows, t_s the time of a serial transfer and t_row that of a row.
    """
    times = [(column.frames, _seconds(column.values)) for column in commanded.columns]
    if not times or any(time_s is None for _, time_s in times):
        return None
    return sum(frames * time_s for frames, time_s in times if time_s is not None) / 60.0
