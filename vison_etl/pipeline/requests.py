"""Requests of people as files: TOML, or JSON as people write it by hand."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vison_etl.campaign.handles import requested, selection
from vison_etl.campaign.strict import nearest
from vison_etl.elvis.files import read_bytes
from vison_etl.elvis.fits import FrameError

_STRING_OR_ASIDE = re.compile(r'"(?:[^"\\\n]|\\.)*"|(?:#|//)[^\n]*|,(?=(?:\s|(?:#|//)[^\n]*(?:\n|$))*[}\]])')
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}", re.ASCII)


class RequestError(ValueError):
    """A request that cannot be met as it stands; the message names file, key, fault and remedy."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """Sessions in order, each with its tests in order; where the scripts are and where the sessions go, if the file says so."""

    inpath: Path | None
    outpath: Path | None
    sessions: Mapping[str, tuple[str, ...]]


def read_request(path: Path) -> dict[str, Any]:
    """Read a request.

    Parameters
    ----------
    path
        ``.toml``, or ``.json``: there comments (``#``, ``//``) and commas before a closing bracket are allowed, names twice in
        one table are not.

    Raises
    ------
    RequestError
        For a file that cannot be read, or is no table of this kind; the message says where.
    """
    ending = path.suffix.lower()
    if ending not in {".toml", ".json"}:
        raise RequestError(f"{path}: a request is a .toml or a .json file")
    try:
        content, _ = read_bytes(path)
        text = content.decode("utf-8-sig")
        found = tomllib.loads(text) if ending == ".toml" else json.loads(_strict(text), object_pairs_hook=_once)
    except FrameError as error:
        raise RequestError(f"{path}: {error.detail}") from None
    except RecursionError:
        raise RequestError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise RequestError(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise RequestError(f"{path}: wanted a table of names and values")
    return found


def _strict(text: str) -> str:
    """Blank out comments and trailing commas; places in the text stay as they are, for messages."""
    return _STRING_OR_ASIDE.sub(lambda m: m.group() if m.group()[0] == '"' else " " * len(m.group()), text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RequestError(f"{next(n for n in names if names.count(n) > 1)!r} stands twice in one table")
    return found


def check_names(where: str, table: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise ``RequestError`` at the first name that is not allowed."""
    known = list(allowed)
    for name in table:
        if name not in known:
            raise RequestError(f"{where}: unknown key {name!r}; nearest: {nearest(str(name), known)}")


def text_of(where: str, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text; ``RequestError`` if it is missing without a default, or no printable text."""
    value = table.get(key, default)
    if value is None:
        raise RequestError(f"{where}: {key!r} is missing")
    if not isinstance(value, str) or not value or not value.isprintable():
        raise RequestError(f"{where}: {key!r} is {value!r}, wanted a text")
    return value


def texts_of(where: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts, not empty; else ``RequestError``."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise RequestError(f"{where} is {value!r}, wanted a list of names")
    return tuple(value)


def table_of(where: str, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a table; ``RequestError`` if it is missing or something else."""
    value = table.get(key)
    if not isinstance(value, dict) or not value:
        raise RequestError(f"{where}: {key!r} is {'missing' if value is None else 'not a table with entries'}")
    return value


def path_of(path: Path, table: Mapping[str, Any], key: str) -> Path | None:
    """Return a folder that a request names, relative to the folder of the request; None if it names none."""
    return path.parent / text_of(str(path), table, key) if key in table else None


def read_session_plan(path: Path) -> SessionPlan:
    """Read ``inpath, outpath, sessions {name: [tests]}``; instead of ``sessions``, ``selection`` may name one of the campaign.

    Raises
    ------
    RequestError
        If it is not as it must be; a session's name becomes that of a folder.
    UnknownTest
        For a selection that does not exist.
    """
    raw, where = read_request(path), str(path)
    check_names(where, raw, ("inpath", "outpath", "sessions", "selection"))
    if ("sessions" in raw) == ("selection" in raw):
        raise RequestError(f"{where}: give either 'sessions' or 'selection'")
    if "selection" in raw:
        sessions = sessions_of_selection(text_of(where, raw, "selection"))
    else:
        table = table_of(where, raw, "sessions")
        sessions = {name: texts_of(f"{where}: session {name!r}", tests) for name, tests in table.items()}
    for name in sessions:
        if not _SESSION.fullmatch(name):
            raise RequestError(f"{where}: session {name!r}: its name must fit a folder: letters, digits, - _ . +")
    return SessionPlan(path_of(path, raw, "inpath"), path_of(path, raw, "outpath"), sessions)


def sessions_of_selection(name: str) -> dict[str, tuple[str, ...]]:
    """Return the sessions of a named selection, handles written out.

    Raises
    ------
    RequestError
        For a selection without sessions.
    UnknownTest
        For one that does not exist.
    """
    chosen = selection(name)
    if not chosen.sessions:
        raise RequestError(f"selection {name!r} has no sessions")
    return {
        session: tuple(one.key for one in requested(handles, chosen.campaign))
        for session, handles in chosen.sessions.items()
    }
