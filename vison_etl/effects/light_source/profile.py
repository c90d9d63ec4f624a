"""A proposed chamber profile: what was measured of the flat source, in the form in which profiles are kept.

Of each label the test whose combined saturation time has the smallest error; nothing stands for what was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vison_etl.instrument.chambers import chamber, chambers

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True, slots=True)
class Combined:
    """The mean of a quantity over the channels of a run, its error, and the number of channels."""

    value: float
    error: float
    n_channels: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run says of one label: times in s; ``offset`` None where no channel constrains it."""

    label: str
    test: str
    run_id: str
    saturation: Combined
    offset: Combined | None


def combine(values: Sequence[float], errors: Sequence[float]) -> Combined:
    """Average a quantity over channels.

    All channels see the same lamp and shutter, so their errors are not independent: they add to the error of the mean as they are (root
    mean square), besides spread / sqrt(n) of the channels.

    Parameters
    ----------
    values, errors
        Of at least one channel; finite.
    """
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.fsum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else 0.0
    common = math.fsum(error**2 for error in errors) / n
    return Combined(mean, math.sqrt(common + spread / n), n)


def measured(rows: Iterable[Mapping[str, Any]]) -> list[Measured]:
    """Return what is proposed for each label, by increasing label.

    Parameters
    ----------
    rows
        ``label, test, run_id, saturation_s, saturation_s_err, shutter_offset_s, shutter_offset_s_err``, one per channel.
    """
    runs: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["label"], row["test"], row["run_id"]), []).append(row)
    best: dict[str, Measured] = {}
    for (label, test, run_id), channels in runs.items():
        saturation = combine(*_columns(channels, "saturation_s"))
        late = [row for row in channels if None not in (row["shutter_offset_s"], row["shutter_offset_s_err"])]
        offset = combine(*_columns(late, "shutter_offset_s")) if late else None
        one = Measured(label, test, run_id, saturation, offset)
        if label not in best or one.saturation.error < best[label].saturation.error:
            best[label] = one
    return sorted(best.values(), key=lambda one: int(one.label))


def _columns(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    pairs = [(float(row[name]), float(row[f"{name}_err"])) for row in rows]
    return [value for value, _ in pairs], [error for _, error in pairs]


def profile_text(name: str, of_chamber: str | None, found: Sequence[Measured]) -> str:
    """Return a profile as TOML: ``flat_s`` and ``shutter_offset_s`` per label, each with its error and source in a comment.

    Parameters
    ----------
    name
        Of the profile.
    of_chamber
        The profile that was in force: its times are quoted for comparison; None where it is not known.
    """
    return "\n".join(_lines(name, of_chamber, found)) + "\n"


def _lines(name: str, of_chamber: str | None, found: Sequence[Measured]) -> Iterator[str]:
    table = name if name and set(name) <= _BARE else f'"{name}"'
    was = chamber(of_chamber).flat_s if of_chamber in chambers() and of_chamber is not None else {}
    yield f"# Proposed from measurements{f'; acquired under {of_chamber}' if of_chamber else ''}. Only what was measured stands here."
    yield "# flat_s: open shutter that fills 65536 ADU, mean over the channels. shutter_offset_s: actual less commanded time."
    yield ""
    yield f"[{table}.flat_s]"
    for one in found:
        old = f"; was {was[one.label]:g}" if one.label in was else ""
        yield f"{one.label} = {_number(one.saturation)}  # {_source(one.saturation, one)}{old}"
    offsets = [(one, one.offset) for one in found if one.offset is not None]
    if offsets:
        yield ""
        yield f"[{table}.shutter_offset_s]"
        for one, offset in offsets:
            yield f"{one.label} = {_number(offset)}  # {_source(offset, one)}"


def _number(what: Combined) -> str:
    """Return the value with two digits of its error."""
    digits = 6 if not what.error > 0 else max(0, 1 - math.floor(math.log10(what.error)))
    return f"{what.value:.{max(digits, 1)}f}"


def _source(what: Combined, one: Measured) -> str:
    return f"+- {what.error:.2g}, {one.test}, run {one.run_id}, {what.n_channels} channels"
