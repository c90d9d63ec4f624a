"""From a snapshot to pages: one per block and test, and the overview that links them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

import polars as pl

from vison_etl.report.gather import gather
from vison_etl.report.index import make_index, tests_and_blocks
from vison_etl.report.page import write
from vison_etl.report.source import Connection, Snapshot, snapshot
from vison_etl.report.test_page import make_page

INDEX = "index.html"


class ReportError(ValueError):
    """Pages were asked for that the snapshot cannot give; the message names the nearest."""


def build_reports(
    connection: Connection,
    lake_root: Path,
    out: Path,
    *,
    block: str | None = None,
    test: str | None = None,
    progress: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write the pages of a snapshot.

    Parameters
    ----------
    connection
        Read-only connection to the published snapshot.
    lake_root
        Folder of the lake, named at the foot of the pages.
    out
        Folder for the pages: ``index.html`` and ``<block>/<test>.html``.
    block, test
        Only pages of this block, this test; the overview is written in any case and links every page there is.
    progress
        Called with the name of each page that is done.

    Returns
    -------
    list of Path
        The pages written, the overview last.

    Raises
    ------
    ReportError
        If the snapshot knows nothing of that block or test.
    """
    taken = snapshot(connection)
    wanted = _wanted(taken, block, test)
    footer = _footer(lake_root)
    written = []
    for one_block, one_test in wanted:
        path = page_path(out, one_block, one_test)
        write(path, make_page(gather(taken, one_block, one_test), f"../{INDEX}", footer))
        written.append(path)
        if progress is not None:
            progress(f"{one_block} {one_test}")
    write(out / INDEX, make_index(taken, lambda b, t: _link(out, b, t), footer))
    if progress is not None:
        progress("overview")
    return [*written, out / INDEX]


def page_path(out: Path, block: str, test: str) -> Path:
    """Return the file of a page; names from a log that are unfit for files are made fit and kept apart by a digest."""
    return out / _file_name(block) / f"{_file_name(test)}.html"


def _file_name(name: str) -> str:
    fit = re.sub(r"[^A-Za-z0-9_+-]", "_", name)[:80]
    if fit == name:
        return fit
    return f"{fit}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _link(out: Path, block: str, test: str) -> str | None:
    path = page_path(out, block, test)
    return quote(path.relative_to(out).as_posix()) if path.exists() else None


def _wanted(taken: Snapshot, block: str | None, test: str | None) -> list[tuple[str, str]]:
    known = tests_and_blocks(taken)
    for column, value in (("block", block), ("test", test)):
        names = known[column].unique().to_list()
        if value is not None and value not in names:
            near = ", ".join(get_close_matches(value, names, n=3, cutoff=0.4)) or ", ".join(sorted(names)[:8]) or "none"
            raise ReportError(f"no {column} {value} in the snapshot; nearest: {near}")
    if block is not None:
        known = known.filter(pl.col("block") == block)
    if test is not None:
        known = known.filter(pl.col("test") == test)
    if known.is_empty() and block is not None and test is not None:
        raise ReportError(f"block {block} has no test {test} in the snapshot")
    return [(str(b), str(t)) for b, t in known.select("block", "test").iter_rows()]


def _footer(lake_root: Path) -> str:
    try:
        made_by = f"vison-etl {version('vison-etl')}"
    except PackageNotFoundError:
        made_by = "vison-etl"
    return f"Made by {made_by} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from the lake {lake_root}."
