"""Decisions of people: append-only, one part file each, so that none is ever lost to another."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from vison_etl.lake.parts import schema, write_part
from vison_etl.lake.paths import Lake, LakeError


def append_override(lake: Lake, decision: Mapping[str, Any]) -> dict[str, Any]:
    """Store one row of ``overrides``.

    ``author`` and ``made_at`` (UTC, without zone) are filled in where they are missing. Returns the row as stored.

    Raises
    ------
    LakeError
        Without ``kind`` or ``reason``, or with a column the table does not have.
    """
    wanted = schema("overrides")
    unknown = sorted(set(decision) - set(wanted))
    if unknown:
        raise LakeError(f"table overrides has no column {', '.join(unknown)}")
    row = (
        dict.fromkeys(wanted)
        | {"author": _author(), "made_at": datetime.now(UTC).replace(tzinfo=None)}
        | dict(decision)
    )
    if not row["kind"] or not row["reason"]:
        raise LakeError("a decision needs a kind and a reason")
    name = f"{row['made_at']:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
    write_part(lake, "overrides", {}, name, pl.DataFrame([row], schema=wanted))
    return row


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
