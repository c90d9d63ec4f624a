"""From the commands of a column to all its values: defaults filled in, exposure time and slot found for a chamber."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vison_etl.campaign.scans import Command
from vison_etl.campaign.strict import RuleError
from vison_etl.instrument.chambers import Chamber, slot_of
from vison_etl.instrument.elvis_keys import readout_modes, script_keys

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One commanded configuration, repeated ``frames`` times.

    Parameters
    ----------
    label
        ``col001``, ``col002``, ...
    frames
        Exposures of the column.
    values
        Script key -> value, every key of the script in its order. None: depends on the chamber, which is not known.
    percent
        Commanded percentage of full well; None if the exposure time is given in seconds.
    full_well
        Source (flat or point) whose full well ``percent`` means; None without ``percent``.
    filter_label
        What the filter slot holds, as in test names; None if not known.
    full_well_s
        Exposure time to full well of the source in use through that filter, s; None if not known.
    """

    label: str
    frames: int
    values: Mapping[str, Value]
    percent: float | None
    full_well: str | None
    filter_label: str | None
    full_well_s: float | None


def full_wells(chamber: Chamber, source: str) -> Mapping[str, float]:
    """Return exposure times to full well, s, by filter label, of the flat or the point source."""
    return chamber.point_s if source == "point" else chamber.flat_s


def _slot(where: str, chamber: Chamber, label: str) -> int:
    slot = slot_of(chamber.name, label)
    if slot is None:
        held = ", ".join(str(held) for held in chamber.slots.values())
        raise RuleError(f"{where}: chamber {chamber.name} has no filter {label}; its wheel holds {held}")
    return slot


def _full_well_s(where: str, chamber: Chamber, source: str, label: str) -> float:
    time_s = full_wells(chamber, source).get(label)
    if time_s is None:
        raise RuleError(f"{where}: chamber {chamber.name} has no time to full well of the {source} source for {label}")
    return time_s


def _chamber_values(where: str, chamber: Chamber | None, commands: Mapping[str, Command]) -> dict[str, Value]:
    """Return what follows from the chamber: wave, exptime and mirr_pos where commanded by label, percent, offset."""
    values: dict[str, Value] = {}
    label, percent, offset = commands.get("label"), commands.get("percent"), commands.get("mirror_offset_mm")
    if percent is not None and label is None:
        raise RuleError(f"{where}: 'percent' needs a 'label'")
    if label is not None:
        values["wave"] = None if chamber is None else _slot(where, chamber, str(label))
    if percent is not None:
        source, of_label = commands.get("full_well", commands["source"]), commands.get("full_well_label", label)
        full_s = None if chamber is None else _full_well_s(where, chamber, str(source), str(of_label))
        values["exptime"] = None if full_s is None else float(percent) / 100.0 * full_s
    if offset is not None:
        slot = values.get("wave", commands["wave"])
        known = chamber is not None and slot is not None
        values["mirr_pos"] = chamber.mirror_mm[int(slot)] + float(offset) if known else None  # type: ignore[union-attr,arg-type]
    return values


def _quote(where: str, values: dict[str, Value]) -> None:
    known: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
    for key, value in values.items():
        if isinstance(value, str) and "{" in value:
            try:
                values[key] = value.format_map(known)
            except KeyError:
                values[key] = None
            except ValueError as error:
                raise RuleError(f"{where}: {key} is {value!r}: {error}") from None


def resolve(where: str, label: str, commands: Mapping[str, Command], chamber: Chamber | None) -> Column:
    """Give a column all its values, in the order of the script.

    Parameters
    ----------
    where
        Place in the rules, for messages.
    label
        Name of the column.
    commands
        What differs from the defaults of the script, groups written out, pseudo keys still in.
    chamber
        Profile; None if unknown: what depends on it is None.

    Raises
    ------
    RuleError
        If the chamber lacks a filter or a time that the commands name.
    """
    defaults = {row.key: row.default for row in script_keys()}
    full = {**defaults, **commands}
    timing = readout_modes().get(str(full["rdmode"]))
    if timing is None:
        raise RuleError(f"{where}: no read-out mode {full['rdmode']!r}")
    derived: dict[str, Value] = {"swellw": timing.swellw_us, "swelldly": timing.swelldly_us}
    derived |= {key: commands[key] for key in derived if key in commands}
    derived |= _chamber_values(where, chamber, full)
    values: dict[str, Value] = {key: derived.get(key, full[key]) for key in defaults}
    _quote(where, values)
    percent = commands.get("percent")
    filter_label = str(full["label"]) if "label" in full else _held(chamber, values["wave"])
    source = str(values["source"])
    return Column(
        label=label,
        frames=int(full["frames"]),
        values=values,
        percent=None if percent is None else float(percent),
        full_well=None if percent is None else str(full.get("full_well", source)),
        filter_label=filter_label,
        full_well_s=None if chamber is None or filter_label is None else full_wells(chamber, source).get(filter_label),
    )


def _held(chamber: Chamber | None, slot: Value) -> str | None:
    return None if chamber is None or slot is None else str(chamber.slots.get(int(slot)))
