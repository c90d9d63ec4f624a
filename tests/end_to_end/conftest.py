import shutil

import pytest

from tests.end_to_end.campaign import take, work
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day

TESTS = ("BIAS01", "PTC02_730", "FLATFLUX00_800")


@pytest.fixture(scope="session")
def day(tmp_path_factory):
    """One simulated day of one block, small frames."""
    return simulate_day(tmp_path_factory.mktemp("raw"), "BORN", TESTS, seed=4)


@pytest.fixture(scope="session")
def analysed(day, tmp_path_factory):
    """Return a lake with that day ingested, analysed and published. Read it; do not write."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    assert take(lake, day.folder).exit_code == 0
    outcomes = work(lake)
    assert {o.action for o in outcomes} == {"stored"}
    publish(lake)
    return lake


@pytest.fixture
def lake(analysed, tmp_path):
    """Return a copy of that lake, to write."""
    shutil.copytree(analysed.root, tmp_path / "lake")
    return Lake(tmp_path / "lake")
