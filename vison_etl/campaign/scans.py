"""Column rules as they stand in the TOML files: commands checked, groups written out, lists and ranges walked step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

from vison_etl.campaign.settings import settings
from vison_etl.campaign.strict import Raw, RuleError, check_keys, nearest, take
from vison_etl.instrument.elvis_keys import script_keys

Command = str | int | float

_PSEUDO_KINDS = {
    "percent": "float",
    "label": "label",
    "full_well": "text",
    "full_well_label": "label",
    "mirror_offset_mm": "float",
}
_LABELS = frozenset({"label", "full_well_label"})
_SAME_THING = (("exptime", "percent"), ("wave", "label"), ("mirr_pos", "mirror_offset_mm"))
_STEP = "step"
_DIGITS = 12
_EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A column rule: one table of commands per step, and the rules repeated within each step, if any."""

    steps: tuple[Mapping[str, Command], ...]
    inner: tuple[ColumnRule, ...] | None


@cache
def _command_kinds() -> Mapping[str, str]:
    kinds: dict[str, str] = {row.key: row.kind for row in script_keys()}
    kinds |= {name: kinds[keys[0]] for name, keys in settings().groups.items()}
    return kinds | _PSEUDO_KINDS


def _check_quotes(where: str, key: str, text: str) -> None:
    """Raise ``RuleError`` where a text quotes what is no script key."""
    known = [row.key for row in script_keys()]
    try:
        quoted = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise RuleError(f"{where}: {key} is {text!r}: {error}") from None
    for name in quoted:
        if name not in known:
            raise RuleError(f"{where}: {key} quotes {name!r}, no script key; nearest: {nearest(name, known)}")


def _check_command(where: str, key: str, value: Any) -> None:
    kind = _command_kinds()[key]
    text, number = isinstance(value, str), isinstance(value, int | float) and not isinstance(value, bool)
    if not (text or number) or (kind == "text" and not text) or (kind in {"int", "float"} and not number):
        raise RuleError(f"{where}: {key} is {value!r}, wanted {'a text' if kind == 'text' else 'a number'}")
    if key == "full_well" and value not in {"flat", "point"}:
        raise RuleError(f"{where}: full_well is {value!r}, wanted 'flat' or 'point'")
    if text:
        _check_quotes(where, key, value)


def read_commands(where: str, raw: Raw) -> dict[str, Command]:
    """Check commands and write groups out as their keys. What stands later in a table wins."""
    check_keys(where, raw, _command_kinds())
    for one, other in _SAME_THING:
        if one in raw and other in raw:
            raise RuleError(f"{where}: {one} and {other} say the same thing; give one")
    written: dict[str, Command] = {}
    for key, value in raw.items():
        _check_command(where, key, value)
        for single in settings().groups.get(key, (key,)):
            written[single] = str(value) if single in _LABELS else value
    return written


def _range(where: str, raw: Raw) -> list[float]:
    """Return from, from + step, ... as far as ``to``, which is in it where a whole number of steps leads there."""
    check_keys(where, raw, ("from", "to", "step"))
    first, last, step = (take(where, raw, key, float) for key in ("from", "to", "step"))
    if step == 0 or (last - first) / step < -_EDGE:
        raise RuleError(f"{where}: steps of {step:g} do not lead from {first:g} to {last:g}")
    count = math.floor((last - first) / step + _EDGE) + 1
    return [round(first + index * step, _DIGITS) for index in range(count)]


def _scanned(where: str, key: str, value: Any) -> Any:
    return _range(f"{where}: {key}", value) if isinstance(value, dict) else value


def _at(value: Any, step: int) -> Any:
    single = value[step] if isinstance(value, list) else value
    return single.replace(f"{{{_STEP}}}", str(step + 1)) if isinstance(single, str) else single


def _column_rule(where: str, raw: Raw) -> ColumnRule:
    if not isinstance(raw, dict):
        raise RuleError(f"{where}: {raw!r} is no table of commands")
    own = {key: _scanned(where, key, value) for key, value in raw.items() if key != "columns"}
    steps = {len(value) for value in own.values() if isinstance(value, list)}
    if len(steps) > 1 or 0 in steps:
        raise RuleError(f"{where}: lists of one column rule must have one length above 0, found {sorted(steps)}")
    rows = tuple(
        read_commands(where, {key: _at(value, step) for key, value in own.items()})
        for step in range(max(steps, default=1))
    )
    inner = raw.get("columns")
    return ColumnRule(rows, None if inner is None else read_columns(f"{where}.columns", inner))


def read_columns(where: str, raw: Any) -> tuple[ColumnRule, ...]:
    """Read a list of column rules; ``RuleError`` where one cannot be meant."""
    if not isinstance(raw, list) or not raw:
        raise RuleError(f"{where}: columns must be a list of tables, found {raw!r}")
    return tuple(_column_rule(f"{where}[{index}]", rule) for index, rule in enumerate(raw))
