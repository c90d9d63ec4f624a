"""A set of acquisition scripts: from a request to the files of a folder, as the bench expects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vison_etl.campaign.commands import DEFAULT
from vison_etl.campaign.handles import Requested, requested, selection
from vison_etl.campaign.structures import Structure, duration_min
from vison_etl.elvis.scripts import (
    LATEST,
    Script,
    ScriptError,
    content_digest,
    day_text,
    make_script,
    script_bytes,
    script_name,
)
from vison_etl.elvis.workbooks import Cell, write_sheets
from vison_etl.instrument.elvis_keys import script_keys
from vison_etl.pipeline.placing import is_there, place
from vison_etl.pipeline.plan import Setting, commanded, without_script
from vison_etl.pipeline.requests import (
    RequestError,
    check_names,
    path_of,
    read_request,
    table_of,
    text_of,
    texts_of,
)

EQUIPMENT = ("operator", "sn_ccd1", "sn_ccd2", "sn_ccd3", "sn_roe", "sn_rpsu")
"""Script keys that say who acquires with what: the same in every column of a set."""

_NAME_WIDTH = 60
_FIRST_META_ROW = 5


@dataclass(frozen=True, slots=True)
class ScriptRequest:
    """What scripts are asked for.

    Parameters
    ----------
    where
        The file, for messages.
    setting
        Chamber, campaign, variant.
    elvis
        Version that the scripts are for.
    equipment
        Values of `EQUIPMENT`.
    handles
        Tests and handles in order.
    outpath
        Folder that the file names; None if it names none.
    """

    where: str
    setting: Setting
    elvis: str
    equipment: Mapping[str, str]
    handles: tuple[str, ...]
    outpath: Path | None


@dataclass(frozen=True, slots=True)
class Written:
    """One script of a set with what was commanded."""

    key: str
    name: str
    script: Script
    minutes: float


@dataclass(frozen=True, slots=True)
class ScriptSet:
    """Scripts in order, what the set is called, and why tests that were asked for have none."""

    scripts: tuple[Written, ...]
    notes: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        """Exposures of all scripts."""
        return sum(one.script.n_frames for one in self.scripts)

    @property
    def minutes(self) -> float:
        """Time that all scripts take."""
        return sum(one.minutes for one in self.scripts)


def read_script_request(path: Path) -> ScriptRequest:
    """Read a request for scripts.

    Parameters
    ----------
    path
        TOML with ``chamber, campaign, variant, elvis, equipment, tests`` (or ``selection``), ``outpath``; or JSON with
        ``CHAMBER, camptype, elvis, equipment, toWrite, outpath``, as older tools take it. The words of either may stand in both.

    Raises
    ------
    RequestError
        If it is not as it must be; the message names file and key.
    UnknownTest
        For a selection that does not exist.
    """
    raw, where = dict(read_request(path)), str(path)
    for ours, theirs in (("chamber", "CHAMBER"), ("campaign", "camptype")):
        if theirs in raw:
            if ours in raw:
                raise RequestError(f"{where}: {ours!r} and {theirs!r} say the same thing; give one")
            raw[ours] = raw.pop(theirs)
    known = ("chamber", "campaign", "variant", "elvis", "equipment", "tests", "selection", "toWrite", "outpath")
    check_names(where, raw, known)
    elvis = text_of(where, raw, "elvis", LATEST)
    _check_elvis(where, elvis)
    handles, campaign = _handles(where, raw)
    return ScriptRequest(
        where=where,
        setting=Setting(text_of(where, raw, "chamber"), campaign, text_of(where, raw, "variant", DEFAULT)),
        elvis=elvis,
        equipment=_equipment(where, raw),
        handles=handles,
        outpath=path_of(path, raw, "outpath"),
    )


def _check_elvis(where: str, elvis: str) -> None:
    try:
        keys = script_keys(elvis)
    except KeyError as error:
        raise RequestError(f"{where}: elvis: {error.args[0]}") from None
    if keys != script_keys(LATEST):
        raise RequestError(f"{where}: elvis: the rules are those of {LATEST}; scripts of {elvis} have other keys")


def _handles(where: str, raw: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the handles asked for and their campaign."""
    if sum(key in raw for key in ("tests", "selection", "toWrite")) != 1:
        raise RequestError(f"{where}: give one of 'tests', 'selection', 'toWrite'")
    if "selection" in raw:
        chosen = selection(text_of(where, raw, "selection"))
        return chosen.handles, text_of(where, raw, "campaign", chosen.campaign)
    campaign = text_of(where, raw, "campaign", "Full")
    if "tests" in raw:
        return texts_of(f"{where}: 'tests'", raw["tests"]), campaign
    marks = table_of(where, raw, "toWrite")
    for handle, mark in marks.items():
        if mark not in (0, 1):
            raise RequestError(f"{where}: toWrite: {handle!r} is {mark!r}, wanted 0 or 1")
    return tuple(handle for handle, mark in marks.items() if mark), campaign


def _equipment(where: str, raw: Mapping[str, Any]) -> dict[str, str]:
    table = table_of(where, raw, "equipment")
    check_names(f"{where}: equipment", table, EQUIPMENT)
    return {key: text_of(f"{where}: equipment", table, key) for key in EQUIPMENT}


def script_of(structure: Structure, equipment: Mapping[str, str], elvis: str = LATEST) -> Script:
    """Return the script of a commanded structure acquired with some equipment; ``ScriptError`` where a value is not known."""
    try:
        return make_script(({**column.values, **equipment} for column in structure.columns), elvis)
    except ScriptError as error:
        raise ScriptError(f"{structure.test}: {error}") from None


def make_scripts(request: ScriptRequest, written_at: datetime) -> ScriptSet:
    """Make all scripts of a request; tests without exposures of their own are left out with a note.

    Raises
    ------
    RequestError
        If no script is left, and for a chamber that does not exist.
    UnknownTest, RuleError, ScriptError
        For tests and variants that do not exist, a chamber that lacks what a test needs, equipment no cell can hold.
    """
    made: list[Written] = []
    notes: list[str] = []
    for one in requested(request.handles, request.setting.campaign):
        note = without_script(one.test)
        if note:
            notes.append(note)
        else:
            made.append(_written(request, one, written_at))
    if not made:
        raise RequestError(f"{request.where}: no script to write; {'; '.join(notes) or 'no test is asked for'}")
    return ScriptSet(tuple(made), tuple(notes))


def _written(request: ScriptRequest, one: Requested, written_at: datetime) -> Written:
    structure = commanded(one, request.setting)
    script = script_of(structure, request.equipment, request.elvis)
    name = script_name(one.key, written_at.date(), request.elvis)
    return Written(one.key, name, script, duration_min(structure) or 0.0)


def write_scripts(made: ScriptSet, out: Path, written_at: datetime, *, overwrite: bool) -> bool:
    """Write a set of scripts with its checksums, inventory and schedule.

    Parameters
    ----------
    out
        Folder. Other files in it stay; a file of the set with another content is only replaced with ``overwrite``.
    written_at
        Local time: its day is in the names, all of it in inventory and schedule.

    Returns
    -------
    bool
        Whether anything was written: a set that stands there already is left as it is, with the time at which it was made.

    Raises
    ------
    PlaceError, OSError
        As ``place``.
    """
    day = day_text(written_at.date())
    checksums = f"CHECK_SUMS_{day}.txt"
    files = {one.name: script_bytes(one.script) for one in made.scripts}
    files[checksums] = checksum_text(made.scripts).encode()
    about = (f"TESTS_INVENTORY_{day}.txt", f"TESTS_SCHEDULER_{day}.xlsx")
    if is_there(out, files) and all((out / name).is_file() for name in about):
        return False
    moment = f"{day} {written_at:%H:%M:%S}"
    files[about[0]] = inventory_text(made, moment, checksums).encode()
    files[about[1]] = write_sheets(schedule_sheets(made, moment, checksums, out))
    return place(out, files, overwrite=overwrite)


def checksum_text(scripts: Sequence[Written]) -> str:
    """Return a line per script: name and checksum of its cells."""
    return "".join(f"{one.name:<{_NAME_WIDTH}}\t{content_digest(one.script)}\n" for one in scripts)


def inventory_text(made: ScriptSet, moment: str, checksums: str) -> str:
    """Return the inventory that people read: columns, minutes and exposures of every test, and the totals."""
    lines = [f"Scripts written on {moment}", f"checksumf: {checksums}", f"vison version: {_software()}", ""]
    for one in made.scripts:
        frames = [column["frames"] for column in one.script.columns]
        lines.append(f"{one.key}: {len(frames)} [{one.minutes:.2f} min] cols: {frames}")
    lines += ["", f" {made.n_frames} Frames Total", "", f" {made.minutes:.2f} Minutes Total"]
    return "".join(f"{line}\n" for line in lines)


def schedule_sheets(made: ScriptSet, moment: str, checksums: str, out: Path) -> dict[str, list[list[Cell]]]:
    """Return the sheets of the schedule: ``Meta``, values as Python writes them, and ``Tests``, minutes as text."""
    meta = {
        "date": moment,
        "checksumfile": checksums,
        "version": _software(),
        "path": str(out.absolute()),
        "Nframes": made.n_frames,
        "Total_duration": made.minutes,
    }
    blank: list[list[Cell]] = [[None, None] for _ in range(_FIRST_META_ROW - 1)]
    said: list[list[Cell]] = [[key, repr(value)] for key, value in meta.items()]
    tests: list[list[Cell]] = [
        [one.key, len(one.script.columns), one.script.n_frames, f"{one.minutes:.2f}"] for one in made.scripts
    ]
    return {"Meta": [*blank, *said], "Tests": [["Test", "Ncols", "Nframes", "Duration_min"], *tests]}


def _software() -> str:
    try:
        return f"vison-etl {version('vison-etl')}"
    except PackageNotFoundError:
        return "vison-etl"
