"""A lake made once, copies of it to write, and the command line run in this process."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Done
from tests.end_to_end.campaign import take, work
from vison_etl.cli.app import main
from vison_etl.lake.paths import Lake
from vison_etl.pipeline import executors
from vison_etl.pipeline.fan_out import SerialPool
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day


@pytest.fixture(scope="session")
def day(tmp_path_factory) -> Path:
    """Return one simulated day folder, small frames. Read it; do not write."""
    return simulate_day(tmp_path_factory.mktemp("raw"), "BORN", ["BIAS01"], seed=4, jobs=2).folder


@pytest.fixture(scope="session")
def lake(day, tmp_path_factory) -> Path:
    """Return a lake with that day ingested, analysed and published. Read it; do not write."""
    place = Lake(tmp_path_factory.mktemp("lake"))
    assert take(place, day).exit_code == 0
    assert [outcome.action for outcome in work(place)] == ["stored"]
    publish(place)
    return place.root


@pytest.fixture
def own_lake(lake, tmp_path) -> Path:
    """Return a copy of that lake, to write."""
    return Path(shutil.copytree(lake, tmp_path / "lake", ignore=shutil.ignore_patterns("products")))


@pytest.fixture
def cli(monkeypatch, capsys) -> Iterator[Callable[..., Done]]:
    """Return a function that runs the command line in this process, and so its work."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.delenv("VISON_ETL_LAKE", raising=False)
    monkeypatch.delenv("VISON_ETL_DEBUG", raising=False)
    monkeypatch.setattr(executors, "ProcessPool", lambda _: SerialPool())

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["vison-etl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Done(int(end.value.code or 0), *capsys.readouterr())

    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def terminal(monkeypatch) -> Callable[[int], None]:
    """Return a function that makes stdout a terminal of so many columns."""

    def become(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)

    return become
