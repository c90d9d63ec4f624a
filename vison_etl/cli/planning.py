"""Commands: plan, scripts write, sessions build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vison_etl.cli.answers import give
from vison_etl.cli.console import say
from vison_etl.cli.errors import UsageError
from vison_etl.cli.options import FormatOption, OutFileOption, answer_format, check_out_folder

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from vison_etl.pipeline.plan import Setting

_SHOWN = ("test", "columns", "frames", "minutes")

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of the same name that have another content.")
]
OutFolderOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder to write to [default: `outpath` of FILE].")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command()(plan)
    scripts = typer.Typer(help="Acquisition scripts: `scripts write`.")
    scripts.callback()(_group)
    scripts.command("write")(write)
    sessions = typer.Typer(help="Session folders: `sessions build`.")
    sessions.callback()(_group)
    sessions.command("build")(build)
    app.add_typer(scripts, name="scripts")
    app.add_typer(sessions, name="sessions")


def _group() -> None:
    """Keep the name of the one command that a group has."""


def plan(
    chamber: Annotated[
        str | None, typer.Option(metavar="C", help="Chamber profile; without it exposure times are not known.")
    ] = None,
    campaign: Annotated[str, typer.Option(metavar="NAME", help="Campaign.")] = "Full",
    sessions: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="Sessions: a file as of `sessions build`, or a named selection."),
    ] = None,
    variant: Annotated[
        str, typer.Option(metavar="V", help="default, or as_acquired: what was commanded in old data.")
    ] = "default",
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with a timeline chart here.")
    ] = None,
    format_: FormatOption = None,
    out: OutFileOption = None,
) -> None:
    """List the tests of a campaign with columns, frames and minutes, per session where sessions are given, and the total.

    Minutes follow from what is commanded, without pauses and without changes of filter, mirror and source. Tests that use the
    exposures of others are left out. The formats other than `table` have more columns and no totals.
    """
    from vison_etl.pipeline.plan import Setting, totals
    from vison_etl.pipeline.plan import plan as planned

    form = answer_format(format_, out)
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        raise UsageError(f"--page {page}: name a file in a folder that exists")
    setting = Setting(chamber, campaign, variant)
    rows = planned(setting, None if sessions is None else _sessions_of(sessions))
    sums = totals(rows)
    give(rows, form, out, _shown(rows, sums))
    line = _total_line(rows)
    say(line)
    if page is not None:
        _write_page(page, setting, line, rows)


def _sessions_of(name: str) -> dict[str, tuple[str, ...]]:
    from vison_etl.pipeline.requests import read_session_plan, sessions_of_selection

    path = Path(name)
    if path.suffix.lower() in {".json", ".toml"}:
        return dict(read_session_plan(path).sessions)
    return sessions_of_selection(name)


def _shown(rows: pl.DataFrame, sums: pl.DataFrame) -> pl.DataFrame:
    """Return what a table shows: the tests, and a line with the total after each session."""
    import polars as pl

    parts = []
    for part, total in zip(rows.partition_by("session", maintain_order=True), sums.iter_rows(named=True), strict=True):
        line = {"session": total["session"], "test": "total", "frames": total["frames"], "minutes": total["minutes"]}
        parts += [part, pl.DataFrame([line], schema_overrides=rows.schema)]
    table = pl.concat(parts, how="diagonal") if parts else rows
    names = _SHOWN if table["session"].null_count() else ("session", *_SHOWN)
    return table.select(names).with_columns(pl.col("minutes").round(2))


def _total_line(rows: pl.DataFrame) -> str:
    counts = f"{rows.height} tests, {rows['frames'].sum()} frames"
    if rows["minutes"].null_count():
        return f"{counts}; exposure times depend on the chamber: give --chamber for the minutes"
    minutes = float(rows["minutes"].sum())
    return f"{counts}, {minutes:.2f} min = {minutes / 60:.2f} h"


def _write_page(page: Path, setting: Setting, line: str, rows: pl.DataFrame) -> None:
    from vison_etl.report.timeline import write_plan_page

    where = f"chamber {setting.chamber}" if setting.chamber else "no chamber"
    write_plan_page(page, f"Plan of campaign {setting.campaign}", f"{where}, variant {setting.variant}: {line}", rows)
    say(f"page written to {page}")


def write(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Request, .toml or .json.")],
    out: OutFolderOption = None,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Day in the names of the files [default: today].")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write acquisition scripts as xlsx, with checksums of their content, inventory and schedule.

    All files are made before the first is put in place. A set that stands there already is left as it is. Tests that use the
    exposures of others have no script; a note says so.
    """
    from vison_etl.pipeline.scripts import make_scripts, read_script_request, write_scripts
    from vison_etl.report.rounding import counted

    request = read_script_request(file)
    folder = _folder(out, request.outpath, file)
    moment = _moment(day)
    made = make_scripts(request, moment)
    is_new = write_scripts(made, folder, moment, overwrite=overwrite)
    for note in made.notes:
        say(f"left out: {note}")
    done = "written to" if is_new else "stand already in"
    say(
        f"{counted(len(made.scripts), 'script')}, {counted(made.n_frames, 'frame')}, {made.minutes:.2f} min, {done} {folder}"
    )


def build(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Sessions and their tests, .toml or .json.")],
    out: OutFolderOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Copy scripts into a folder per session, with their order in TEST_SEQUENCE_<session>.txt.

    A test is found by its whole name; one without a script, or with several, stops it before anything is written.
    """
    from vison_etl.pipeline.requests import RequestError, read_session_plan
    from vison_etl.pipeline.sessions import build_sessions
    from vison_etl.report.rounding import counted

    sessions = read_session_plan(file)
    if sessions.inpath is None:
        raise RequestError(f"{file}: 'inpath' is missing: the folder with the scripts")
    folder = _folder(out, sessions.outpath, file)
    built, notes = build_sessions(sessions, sessions.inpath, folder, overwrite=overwrite)
    for note in notes:
        say(f"warning: {note}")
    for one in built:
        scripts, frames = counted(len(one.scripts), "script"), counted(one.n_frames, "frame")
        say(f"{one.name}: {scripts}, {frames}, in {folder / one.name}")


def _folder(option: Path | None, said: Path | None, file: Path) -> Path:
    folder = option or said
    if folder is None:
        raise UsageError(f"{file} names no 'outpath'; give --out DIR")
    check_out_folder(folder)
    return folder.absolute()


def _moment(day: str | None) -> datetime:
    """Return the time at which a set is made: now, or the beginning of a day that is given."""
    from datetime import datetime

    if day is None:
        return datetime.now()  # noqa: DTZ005 - the clock on the wall of the bench
    try:
        return datetime.strptime(day, "%Y-%m-%d")  # noqa: DTZ007 - a day, without zone
    except ValueError:
        raise UsageError(f"--day {day}: write YYYY-MM-DD") from None
