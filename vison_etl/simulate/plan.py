"""From commanded tests to a list of exposures: obsids, times, what is logged and what the detector sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from vison_etl.campaign.columns import Column
from vison_etl.campaign.commands import DEFAULT
from vison_etl.campaign.definitions import UnknownTest, definition
from vison_etl.campaign.logged import logged_values
from vison_etl.campaign.strict import RuleError
from vison_etl.campaign.structures import structure
from vison_etl.elvis.logcells import LogValue
from vison_etl.instrument import blocks
from vison_etl.instrument.chambers import actual_exptime_s, chambers
from vison_etl.simulate.exposure import CCDS, Exposure
from vison_etl.simulate.housekeeping import ccd_temperatures
from vison_etl.simulate.light import saturation_rate_adu_per_s, source_level
from vison_etl.simulate.quadrant import Shot
from vison_etl.simulate.settings import SimulationError, settings
from vison_etl.simulate.setup import Latent, Setup, injection_of, pumping_of, raster_px, row_time_s
from vison_etl.simulate.spots import spot_rate_adu_per_s

_CLOCK_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - the bench knows no zone
_UNUSED_FILTER = ""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What to simulate in one day folder.

    Parameters
    ----------
    block, chamber
        Block, and the chamber profile that lights it.
    tests
        Tests in the order they are run; a name may occur more than once.
    campaign, variant
        Which commanded structures.
    start
        Start of the first exposure, without zone.
    first_obsid
        Its number; the others follow without gaps.
    """

    block: str
    chamber: str
    tests: tuple[str, ...]
    campaign: str
    variant: str
    seed: int
    start: datetime
    first_obsid: int


def known_block(name: str) -> str:
    """Return the name of a block if it is known; ``SimulationError`` lists the known ones."""
    if name not in blocks.block_names():
        near = get_close_matches(name.upper(), blocks.block_names(), n=1)
        hint = f", did you mean {near[0]}" if near else ""
        raise SimulationError(f"no block {name!r}{hint}; known: {', '.join(blocks.block_names())}")
    return name


def chamber_for(block: str, chamber: str | None) -> str:
    """Return the chamber asked for, else the block's own; ``SimulationError`` if there is none."""
    found = chamber or blocks.chamber_of_block(block)
    if found is None:
        raise SimulationError(f"block {block} has no chamber profile of its own: name one of {', '.join(chambers())}")
    if found not in chambers():
        near = ", ".join(get_close_matches(found, chambers(), n=3)) or ", ".join(chambers())
        raise SimulationError(f"no chamber {found!r}; nearest: {near}")
    return found


def _equipment(block: str) -> dict[str, LogValue]:
    """Return the serial numbers of a block as logged; empty where they are not known."""
    row = next((row for row in blocks.blocks() if row.block == block), None)
    if row is None:
        return {}
    values: dict[str, LogValue] = {"sn_roe": f"FM{row.roe_sn:02d}", "sn_rpsu": f"FM{row.rpsu_sn:02d}"}
    if row.serials is not None:
        values |= {f"sn_{ccd.lower()}": serial for ccd, serial in zip(CCDS, row.serials, strict=True)}
    return values


def _columns(plan: DayPlan, test: str) -> tuple[Column, ...]:
    try:
        if not definition(test).has_frames:
            sources = ", ".join(definition(test).frames_of)
            raise SimulationError(f"test {test} has no frames of its own: simulate {sources}")
        if not definition(test).is_commanded:
            raise SimulationError(f"no script commands test {test}: there is nothing to simulate")
        columns = structure(test, plan.chamber, plan.campaign, plan.variant).columns
    except (UnknownTest, RuleError) as error:
        raise SimulationError(str(error)) from error
    for column in columns:
        _require_light(plan.chamber, test, column)
    return columns


def _require_light(chamber_name: str, test: str, column: Column) -> None:
    """Check that the chamber can light what a column wants lit."""
    values = column.values
    if not values["shuttr"] or float(values["exptime"] or 0.0) == 0.0:
        return
    label = column.filter_label or ""
    try:
        if values["source"] == "point":
            spot_rate_adu_per_s(chamber_name, label)
        else:
            saturation_rate_adu_per_s(chamber_name, label)
    except SimulationError as error:
        raise SimulationError(f"test {test}, {column.label}: {error}") from error


def _seconds_between_starts(values: dict[str, Any]) -> float:
    """Return the time from one exposure to the next as simulated logs have it."""
    time = settings()["time"]
    prepared = bool(values["chinj"]) or bool(values["v_tpump"]) or bool(values["s_tpump"])
    return float(time["overhead_s"] + (time["preparation_s"] if prepared else 0.0) + values["exptime_s"])


def _latent(shot: Shot, full_well_s: float | None, ended: float) -> Latent | None:
    """Return what a shot leaves in later ones if it overfills the pixels; ``ended`` in seconds of the same clock as starts."""
    setup = shot.setup
    overfill = settings()["persistence"]["overfill"]
    if setup.source != "point" or full_well_s is None or shot.open_s < overfill * full_well_s:
        return None
    mirror_mm = 0.0 if setup.mirror_mm is None else setup.mirror_mm
    return Latent(shot.obsid, shot.label, shot.open_s, shot.level, mirror_mm, setup.stage_px, ended)


def _setup(test: str, column: Column, step: int, latents: Sequence[Latent], now: float) -> Setup:
    values: dict[str, Any] = dict(column.values)
    memory_s = settings()["persistence"]["memory_s"]
    left = tuple(replace(latent, ended_s=now - latent.ended_s) for latent in latents if now - latent.ended_s < memory_s)
    return Setup(
        rdmode=str(values["rdmode"]),
        row_s=row_time_s(values),
        source=str(values["source"]),
        mirror_mm=None if values["mirr_pos"] is None else float(values["mirr_pos"]),
        stage_px=raster_px(values, step, settings()["spot"]["stage_px_per_um"]),
        degc=definition(test).ccd_temperature_degc,
        rd_v=(float(values["RD_T"]), float(values["RD_B"])),
        environment=str(values["comments"] or ""),
        injection=injection_of(values),
        pumping=pumping_of(values),
        latents=left,
    )


def _shot(plan: DayPlan, column: Column, obsid: int, started_at: datetime, setup: Setup) -> Shot:
    values: dict[str, Any] = dict(column.values)
    exptime_s = float(values["exptime"])
    open_s = 0.0
    if values["shuttr"]:
        actual_s = actual_exptime_s(plan.chamber, exptime_s)
        open_s = exptime_s if actual_s is None else actual_s
    return Shot(
        obsid=obsid,
        chamber=plan.chamber,
        label=column.filter_label or _UNUSED_FILTER,
        level=source_level(plan.seed, plan.block, obsid),
        exptime_s=exptime_s,
        open_s=open_s,
        time_h=(started_at - _CLOCK_EPOCH).total_seconds() / 3600.0,
        vstart=int(values["vstart"]),
        vend=int(values["vend"]),
        setup=setup,
    )


def _logged(plan: DayPlan, test: str, column: Column, obsid: int, started_at: datetime) -> dict[str, LogValue]:
    common: dict[str, LogValue] = {name: value for name, value in settings()["log"].items() if name != "version"}
    return {
        **logged_values(column),
        **common,
        **_equipment(plan.block),
        **ccd_temperatures(plan.seed, plan.block, obsid, definition(test).ccd_temperature_degc),
        "obsid": obsid,
        "started_at": started_at,
        "calscrpt": f"vis_CalCamp_{test}.xlsx",
    }


def simulable(tests: Sequence[str], chamber: str, campaign: str = "Full") -> tuple[str, ...]:
    """Return those tests that can be simulated in a chamber, in their order."""
    plan = DayPlan("", chamber, (), campaign, DEFAULT, 0, _CLOCK_EPOCH, 0)
    possible = []
    for test in tests:
        with suppress(SimulationError):
            _columns(plan, test)
            possible.append(test)
    return tuple(possible)


def exposures(plan: DayPlan) -> tuple[Exposure, ...]:
    """Return the exposures of a day, in order.

    Raises
    ------
    SimulationError
        For an unknown test, one that the chamber cannot run, or one that needs what is not simulated.
    """
    planned: list[Exposure] = []
    latents: list[Latent] = []
    started_at, obsid = plan.start.replace(microsecond=0), plan.first_obsid
    for test in plan.tests:
        acquisition = f"{plan.block}/{test}/{obsid}"
        for column in _columns(plan, test):
            for step in range(column.frames):
                now = (started_at - _CLOCK_EPOCH).total_seconds()
                setup = _setup(test, column, step, latents, now)
                logged = _logged(plan, test, column, obsid, started_at)
                shot = _shot(plan, column, obsid, started_at, setup)
                comments = str(column.values["comments"] or "")
                planned.append(Exposure(obsid, test, acquisition, column.label, started_at, logged, comments, shot))
                left = _latent(shot, column.full_well_s, now + shot.exptime_s)
                latents += [] if left is None else [left]
                started_at += timedelta(seconds=math.ceil(_seconds_between_starts(logged)))
                obsid += 1
    return tuple(planned)


def plan_day(
    block: str,
    tests: Sequence[str],
    start: datetime,
    first_obsid: int,
    *,
    campaign: str = "Full",
    variant: str = DEFAULT,
    chamber: str | None = None,
    seed: int = 0,
) -> DayPlan:
    """Check what is asked for and return the plan of a day; ``SimulationError`` for an unknown block or chamber."""
    if not tests:
        raise SimulationError("no test to simulate: name at least one")
    if seed < 0:
        raise SimulationError(f"seed {seed}: it must not be negative")
    if start.tzinfo is not None:
        raise SimulationError(f"start {start}: the bench knows no time zone, leave it out")
    name = known_block(block)
    return DayPlan(name, chamber_for(name, chamber), tuple(tests), campaign, variant, seed, start, first_obsid)
