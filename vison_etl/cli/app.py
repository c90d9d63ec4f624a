"""The command line. Heavy modules are imported inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys

import typer

from vison_etl.cli import analysis, demo, ingestion, keeping, query, simulation
from vison_etl.cli.errors import USAGE, explain, fail

app = typer.Typer(
    name="vison-etl",
    help="Calibration of scientific CCDs as a data lake: day folders in, values with errors, SQL and pages out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (ingestion, analysis, query, keeping, simulation, demo):
    room.register(app)


def main() -> None:
    """Run the command line; every error becomes one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        fail("interrupted; what was finished is kept, run the same command again to go on")
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(USAGE) from None
    except Exception as error:
        if os.environ.get("VISON_ETL_DEBUG"):
            raise
        fail(explain(error))
