"""Files that people get are there whole or not at all: made aside in the same place, then renamed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

_NAMED_AT_MOST = 3


class PlaceError(ValueError):
    """Files that are in the way; the message names them."""


def is_there(out: Path, files: Mapping[str, bytes]) -> bool:
    """Tell whether all files stand below a folder with this content; where they have folders of their own, alone in them."""
    tops = {PurePosixPath(name).parts[0] for name in files}
    return all(_is_same(out, top, _of_top(files, top)) for top in tops)


def place(out: Path, files: Mapping[str, bytes], *, overwrite: bool) -> bool:
    """Write files below a folder: all are made aside before the first takes its place.

    Parameters
    ----------
    out
        Folder; made if it is not there. Other files in it stay.
    files
        Path below ``out`` (``name`` or ``folder/name``) -> content, those that complete the set last.
    overwrite
        Whether what has another content gives way. A folder gives way as a whole.

    Returns
    -------
    bool
        Whether anything was written; not if all is there already.

    Raises
    ------
    PlaceError
        If something of another content is in the way; nothing has been written then.
    OSError
        If the file system refuses. A file or folder in place is whole at any time.
    """
    if out.exists() and not out.is_dir():
        raise PlaceError(f"{out} is a file; name a folder")
    tops = list(dict.fromkeys(PurePosixPath(name).parts[0] for name in files))
    changed = [top for top in tops if not _is_same(out, top, _of_top(files, top))]
    in_the_way = [top for top in changed if _exists(out / top)]
    if in_the_way and not overwrite:
        named = ", ".join(in_the_way[:_NAMED_AT_MOST]) + (" ..." if len(in_the_way) > _NAMED_AT_MOST else "")
        raise PlaceError(f"{out} has {named} of other content; give another folder, or --overwrite")
    if not changed:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.parent / f".{out.name}-{uuid.uuid4().hex[:12]}"
    try:
        _write(aside, {name: content for name, content in files.items() if PurePosixPath(name).parts[0] in changed})
        _take_place(aside, out, changed)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return True


def _of_top(files: Mapping[str, bytes], top: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if PurePosixPath(name).parts[0] == top}


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_same(out: Path, top: str, wanted: Mapping[str, bytes]) -> bool:
    place_of_top = out / top
    if place_of_top.is_dir():
        found = {path.relative_to(out).as_posix() for path in place_of_top.rglob("*")}
        if found != set(wanted):
            return False
    return all((out / name).is_file() and (out / name).read_bytes() == content for name, content in wanted.items())


def _write(aside: Path, files: Mapping[str, bytes]) -> None:
    aside.mkdir()
    for name, content in files.items():
        path = aside / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def _take_place(aside: Path, out: Path, tops: list[str]) -> None:
    if not out.exists():
        aside.rename(out)
        return
    given_way = aside / ".before"
    given_way.mkdir()
    for top in tops:
        if (out / top).is_dir() or (aside / top).is_dir():
            if _exists(out / top):
                (out / top).rename(given_way / top)
            (aside / top).rename(out / top)
        else:
            (aside / top).replace(out / top)
