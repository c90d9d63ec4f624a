"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

LakeOption = Annotated[
    Path | None, typer.Option("--lake", metavar="DIR", help="Lake folder [default: $VISON_ETL_LAKE, else ./lake].")
]
DbOption = Annotated[
    Path | None, typer.Option("--db", metavar="FILE", help="Results database [default: <lake>/results.duckdb].")
]
BlockOption = Annotated[str | None, typer.Option("--block", metavar="B", help="Block, by nickname.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, metavar="N", help="Worker processes [default: cores].")
]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler to work on, e.g. tcp://host:8786.")
]


def lake_root(option: Path | None) -> Path:
    """Return the lake folder: the option, else ``$VISON_ETL_LAKE``, else ``./lake``."""
    return option or Path(os.environ.get("VISON_ETL_LAKE") or "lake")


def obsid_range(text: str | None) -> tuple[int, int] | None:
    """Read ``A:B`` as an inclusive range of exposures."""
    if text is None:
        return None
    first, separator, last = text.partition(":")
    try:
        span = int(first), int(last if separator else first)
    except ValueError:
        raise typer.BadParameter(f"--obsids {text}: write FIRST:LAST, e.g. 17283:17292") from None
    if span[0] > span[1]:
        raise typer.BadParameter(f"--obsids {text}: the first exposure comes after the last")
    return span
