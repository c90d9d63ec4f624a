"""The commands, put together. Heavy modules are imported inside them, so that ``--help`` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vison_etl.cli import (
    analysis,
    decisions,
    demo,
    ingestion,
    keeping,
    planning,
    profiles,
    query,
    simulation,
    summaries,
)
from vison_etl.cli.console import discard_output, is_broken_pipe, is_unread
from vison_etl.cli.errors import UNREAD, UsageError


class _Commands(TyperGroup):
    """The commands, ending quietly when nobody reads their answer any more."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the arguments; ``--help`` and ``--version`` are answered here."""
        with _quiet_when_unread():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and see its answer out."""
        with _quiet_when_unread():
            return super().invoke(ctx)


@contextmanager
def _quiet_when_unread() -> Iterator[None]:
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except Exception as error:
        if not (is_broken_pipe(error) and is_unread()):
            raise
        discard_output()
        raise typer.Exit(UNREAD) from None


app = typer.Typer(
    name="vison-etl",
    cls=_Commands,
    epilog="Exit codes: 0 done; 1 done in part, or something found; 2 bad input or usage, in one line on stderr.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for room in (ingestion, analysis, decisions, query, summaries, keeping, planning, profiles, simulation, demo):
    room.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from vison_etl import __version__

        sys.stdout.write(f"vison-etl {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def common(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has done all
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Calibration of scientific CCDs as a data lake: day folders in, values with errors, SQL and pages out."""
    if ctx.invoked_subcommand is None:
        sys.stdout.write(f"{ctx.get_help()}\n")
        raise UsageError("no command given; see `vison-etl --help`")
