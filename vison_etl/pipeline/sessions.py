"""Sessions: scripts sorted into folders, with the order in which they are to be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vison_etl.campaign.strict import nearest
from vison_etl.elvis.scripts import content_digest, parse_script_name, read_script
from vison_etl.pipeline.placing import PlaceError, place
from vison_etl.pipeline.requests import RequestError, SessionPlan


@dataclass(frozen=True, slots=True)
class Session:
    """One session: names of the scripts in order, and their exposures."""

    name: str
    scripts: tuple[str, ...]
    n_frames: int


@dataclass(frozen=True, slots=True)
class Source:
    """A script that was found: its file, content, exposures, and what is odd about it, if anything."""

    path: Path
    content: bytes
    n_frames: int
    note: str | None


def sequence_name(session: str) -> str:
    """Return the name of the file that holds the order of a session."""
    return f"TEST_SEQUENCE_{session}.txt"


def find_scripts(folder: Path, tests: Sequence[str]) -> dict[str, Path]:
    """Find the one script of each test, by the whole name of the test in the file name.

    Raises
    ------
    RequestError
        If the folder is not there; if a test has no script, or several; the message names them all.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder of scripts")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        said = parse_script_name(path.name)
        if said is not None:
            found.setdefault(said.test, []).append(path)
    troubles = []
    for test in dict.fromkeys(tests):
        paths = found.get(test, [])
        if not paths:
            near = f"nearest: {nearest(test, found)}" if found else "it holds no script at all"
            troubles.append(f"no script of {test}, {near}")
        elif len(paths) > 1:
            troubles.append(f"{len(paths)} scripts of {test}: {', '.join(path.name for path in paths)}; leave one")
    if troubles:
        raise RequestError(f"{folder}: {'; '.join(troubles)}")
    return {test: found[test][0] for test in tests}


def build_sessions(plan: SessionPlan, scripts: Path, out: Path, *, overwrite: bool) -> tuple[list[Session], list[str]]:
    """Copy scripts into one folder per session, with the order of each in ``TEST_SEQUENCE_<session>.txt``.

    Parameters
    ----------
    plan
        Sessions and their tests.
    scripts
        Folder that holds the scripts.
    out
        Folder that gets one folder per session.
    overwrite
        Whether a session's folder that has another content is replaced as a whole.

    Returns
    -------
    list of Session, list of str
        Sessions in order; notes on scripts that are not as their checksum says.

    Raises
    ------
    RequestError
        If a test has no script or several, a script says another test than its name, or a folder that would be replaced
        holds what no session does. Nothing has been written then.
    ScriptError
        For a script that cannot be read.
    PlaceError
        As ``place``.
    """
    found = find_scripts(scripts, [test for tests in plan.sessions.values() for test in tests])
    sums = _checksums(scripts)
    sources = {test: _source(test, path, sums) for test, path in found.items()}
    files: dict[str, bytes] = {}
    sessions: list[Session] = []
    for name, tests in plan.sessions.items():
        chosen = [sources[test] for test in tests]
        names = tuple(source.path.name for source in chosen)
        files |= {f"{name}/{source.path.name}": source.content for source in chosen}
        files[f"{name}/{sequence_name(name)}"] = "".join(f"{line}\n" for line in names).encode()
        sessions.append(Session(name, names, sum(source.n_frames for source in chosen)))
        if overwrite:
            _check_no_stranger(out / name)
    place(out, files, overwrite=overwrite)
    return sessions, [source.note for source in sources.values() if source.note]


def _source(test: str, path: Path, sums: Mapping[str, frozenset[str]]) -> Source:
    script = read_script(path)
    others = {str(column["test"]) for column in script.columns} - {test, test.rpartition(".")[0]}
    if others:
        raise RequestError(f"{path}: its row 'test' says {', '.join(sorted(others))}, its name {test}")
    content = path.read_bytes()
    known = sums.get(path.name, frozenset())
    as_bytes = hashlib.md5(content, usedforsecurity=False).hexdigest()
    changed = known and known.isdisjoint({content_digest(script), as_bytes})
    note = f"{path.name} is not what its CHECK_SUMS file says: changed since it was written" if changed else None
    return Source(path, content, script.n_frames, note)


def _checksums(folder: Path) -> dict[str, frozenset[str]]:
    """Return name of script -> checksums that the files of a folder give for it."""
    sums: dict[str, frozenset[str]] = {}
    for path in sorted(folder.glob("CHECK_SUMS_*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, separator, digest = line.rpartition("\t")
            if separator:
                sums[name.strip()] = sums.get(name.strip(), frozenset()) | {digest.strip().lower()}
    return sums


def _check_no_stranger(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but scripts and an order."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if parse_script_name(path.name) is None and path.name != sequence_name(folder.name):
                raise PlaceError(f"{folder} holds {path.name}, which is not of a session; it is not replaced")
