"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.errors import UsageError, one_of

if TYPE_CHECKING:
    from vison_etl.lake.paths import Lake

FORMATS = ("table", "csv", "json", "parquet", "xlsx")
_BINARY = ("parquet", "xlsx")
_LAST_OBSID = 2**31 - 1
_SCHEDULER = re.compile(r"inproc://\S+|((tcp|tls|ucx|ws|wss)://)?[^\s/]+:\d{1,5}")

LakeOption = Annotated[
    Path | None, typer.Option("--lake", metavar="DIR", help="Lake folder [default: $VISON_ETL_LAKE, else ./lake].")
]
DbOption = Annotated[
    Path | None, typer.Option("--db", metavar="FILE", help="Results database [default: <lake>/results.duckdb].")
]
BlockOption = Annotated[
    str | None, typer.Option("--block", metavar="B", help="Only this block, by nickname [default: all].")
]
TestOption = Annotated[str | None, typer.Option("--test", metavar="T", help="Only this test [default: all].")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, metavar="N", help="Worker processes [default: one per core].")
]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler to work on, e.g. tcp://host:8786.")
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="F", help="table, csv, json, parquet or xlsx [default: by the ending of --out, else table]."
    ),
]
OutFileOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the answer here instead of to stdout.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept for ever with the decision.")]


def lake_root(option: Path | None) -> Path:
    """Return the lake folder: the option, else ``$VISON_ETL_LAKE``, else ``./lake``."""
    return Path(os.path.abspath(option or os.environ.get("VISON_ETL_LAKE") or "lake"))  # noqa: PTH100 - links stay


def lake_anywhere(option: Path | None) -> Lake:
    """Return the lake, which need not exist yet.

    Raises
    ------
    UsageError
        If its place is taken by a file.
    """
    from vison_etl.lake.paths import Lake

    root = lake_root(option)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file, not a lake folder; {_remedy(option)}")
    return Lake(root)


def lake_to_read(option: Path | None) -> Lake:
    """Return a lake that exists and can be listed.

    Raises
    ------
    UsageError
        Otherwise; the message says where the name came from.
    """
    lake = lake_anywhere(option)
    if not lake.root.exists():
        raise UsageError(
            f"{lake.root}: no such lake folder; {_remedy(option)}, or fill it with `vison-etl ingest DAYFOLDER`"
        )
    if not os.access(lake.root, os.R_OK | os.X_OK):
        raise UsageError(f"{lake.root}: no permission to read this lake")
    return lake


def lake_to_change(option: Path | None, *, is_new: bool = False) -> Lake:
    """Return a lake that can be written; with ``is_new`` it need not exist yet.

    Raises
    ------
    UsageError
        Otherwise, before any work is done.
    """
    lake = lake_anywhere(option) if is_new else lake_to_read(option)
    if lake.root.exists() and not os.access(lake.root, os.W_OK):
        raise UsageError(f"{lake.root}: no permission to write this lake; {_remedy(option)}, or work as its owner")
    return lake


def _remedy(option: Path | None) -> str:
    if option is not None:
        return "give another --lake"
    return "change $VISON_ETL_LAKE or give --lake" if os.environ.get("VISON_ETL_LAKE") else "give --lake"


def obsid_range(text: str) -> tuple[int, int]:
    """Read ``A:B`` or ``A`` as an inclusive range of exposures."""
    first, separator, last = text.partition(":")
    try:
        span = int(first), int(last if separator else first)
    except ValueError:
        raise UsageError(f"--obsids {text}: write FIRST:LAST, e.g. 17283:17292") from None
    if span[0] > span[1]:
        raise UsageError(f"--obsids {text}: the first exposure comes after the last; write {span[1]}:{span[0]}")
    if span[0] < 0 or span[1] > _LAST_OBSID:
        raise UsageError(f"--obsids {text}: exposures are numbered from 0 to {_LAST_OBSID}")
    return span


def scheduler_address(address: str | None) -> str | None:
    """Return the address of a Dask scheduler as it was given.

    Raises
    ------
    UsageError
        If it cannot be one, before anything is looked for there.
    """
    if address is not None and not _SCHEDULER.fullmatch(address):
        raise UsageError(f"--scheduler {address}: write HOST:PORT or PROTOCOL://HOST:PORT, e.g. tcp://host:8786")
    return address


def answer_format(form: str | None, out: Path | None) -> str:
    """Return the form of an answer: as asked for, else by the ending of the file, else ``table``.

    Raises
    ------
    UsageError
        For another form, one that a terminal cannot show, or a file that cannot be made.
    """
    if form is None:
        ending = out.suffix.removeprefix(".").lower() if out else ""
        form = ending if ending in FORMATS else "table"
    form = form.lower()
    if form not in FORMATS:
        raise one_of("--format", form, FORMATS)
    if out is None and form in _BINARY:
        raise UsageError(f"--format {form} needs --out FILE")
    if out is not None:
        check_out_file(out)
    return form


def check_out_file(out: Path) -> None:
    """Find out before the work that a file cannot be made, not after it."""
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: no folder {out.parent}; make it first")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise UsageError(f"--out {out}: no permission to write it; name another file")


def check_out_folder(out: Path, name: str = "--out") -> None:
    """Find out before the work that a folder cannot be made, not after it."""
    taken = next((place for place in (out, *out.parents) if place.exists()), None)
    if taken is not None and not taken.is_dir():
        raise UsageError(f"{name} {out}: {taken} is a file; name a folder")
    if taken is not None and not os.access(taken, os.W_OK | os.X_OK):
        raise UsageError(f"{name} {out}: no permission to write in {taken}; name another folder")
