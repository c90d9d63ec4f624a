"""What a campaign takes: columns, exposures and minutes of each test, in the order in which they are acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from vison_etl.campaign.commands import DEFAULT
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.handles import Requested, in_campaign_order, requested
from vison_etl.campaign.structures import Structure, duration_min, structure
from vison_etl.pipeline.requests import RequestError

_SCHEMA = {
    "session": pl.String,
    "test": pl.String,
    "columns": pl.Int64,
    "frames": pl.Int64,
    "minutes": pl.Float64,
    "exposure_minutes": pl.Float64,
    "begins_minutes": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a campaign is acquired; without a chamber the times of exposures in its light are not known."""

    chamber: str | None
    campaign: str = "Full"
    variant: str = DEFAULT


def without_script(test: str) -> str | None:
    """Return why there is nothing to acquire for a test, as a sentence; None if there is."""
    about = definition(test)
    if not about.has_frames:
        return f"{test} uses the exposures of {', '.join(about.frames_of)} and has no script of its own"
    return None if about.scripted else f"{test} is acquired elsewhere, without a script of this campaign"


def commanded(one: Requested, setting: Setting) -> Structure:
    """Return the structure of a test asked for.

    Raises
    ------
    RequestError
        For a chamber that does not exist.
    UnknownTest, RuleError
        As ``structure``.
    """
    try:
        return structure(one.test, setting.chamber, setting.campaign, setting.variant)
    except KeyError as error:
        raise RequestError(str(error.args[0])) from None


def plan(setting: Setting, sessions: Mapping[str, Sequence[str]] | None = None) -> pl.DataFrame:
    """List what is acquired, one test after the other.

    Parameters
    ----------
    setting
        Chamber, campaign, variant.
    sessions
        Session -> handles in order; None: the whole campaign in its own order, in no session. Tests without exposures of
        their own are left out.

    Returns
    -------
    polars.DataFrame
        ``session, test`` (with the number of a repetition), ``columns, frames, minutes``, ``exposure_minutes`` (the part of
        ``minutes`` that is exposure), ``begins_minutes`` (from the beginning of the session, or of the campaign). Times are NULL
        where they are not known.

    Raises
    ------
    RequestError, UnknownTest, RuleError
        For names that do not exist, a chamber that lacks what a test needs, and where nothing is to be acquired.
    """
    chosen: list[tuple[str | None, tuple[Requested, ...]]]
    if sessions is None:
        chosen = [(None, in_campaign_order(setting.campaign))]
    else:
        chosen = [(name, requested(handles, setting.campaign)) for name, handles in sessions.items()]
    rows: list[dict[str, object]] = []
    for name, tests in chosen:
        begins: float | None = 0.0
        for one in tests:
            if without_script(one.test) is None:
                row = _row(one, commanded(one, setting))
                rows.append({"session": name, **row, "begins_minutes": begins})
                minutes = row["minutes"]
                begins = begins + minutes if begins is not None and isinstance(minutes, float) else None
    if not rows:
        raise RequestError(f"nothing to acquire: {without_script(chosen[0][1][0].test)}")
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(one: Requested, said: Structure) -> dict[str, object]:
    minutes = duration_min(said)
    seconds = sum(column.frames * float(column.values["exptime"] or 0.0) for column in said.columns)
    return {
        "test": one.key,
        "columns": len(said.columns),
        "frames": said.n_frames,
        "minutes": minutes,
        "exposure_minutes": None if minutes is None else seconds / 60.0,
    }


def totals(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``session, tests, frames, minutes`` per session in order; the minutes are NULL where those of a test are."""
    known = pl.when(pl.col("minutes").is_null().any()).then(None).otherwise(pl.col("minutes").sum())
    return rows.group_by("session", maintain_order=True).agg(
        tests=pl.len().cast(pl.Int64), frames=pl.col("frames").sum(), minutes=known
    )
