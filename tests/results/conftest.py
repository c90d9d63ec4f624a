"""A small published lake, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_lake import store_acquisition, store_exposures, store_run

from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish


def small_lake(root: Path) -> Lake:
    """Make a lake of two blocks with one run each, not published."""
    lake = Lake(root)
    store_run(lake, store_acquisition(lake, "BORN", "BIAS01", 100), 1)
    store_run(lake, store_acquisition(lake, "NIELS", "PTC01", 500), 2, gain=3.4)
    store_exposures(lake, "BORN", "2019-03-01", range(100, 110))
    store_exposures(lake, "BORN", "2019-03-02", range(200, 203))
    store_exposures(lake, "NIELS", "2019-04-01", range(500, 510))
    return lake


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = small_lake(tmp_path_factory.mktemp("template") / "lake")
    publish(lake)
    return lake


@pytest.fixture(scope="session")
def empty_template(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("empty") / "lake")
    lake.root.mkdir()
    publish(lake)
    return lake


@pytest.fixture
def lake(template: Lake, tmp_path: Path) -> Lake:
    """Return a copy of the small lake, published."""
    copied = Lake(tmp_path / "lake")
    shutil.copytree(template.root, copied.root)
    assert not publish(copied).rebuilt
    return copied


@pytest.fixture
def empty_lake(empty_template: Lake, tmp_path: Path) -> Lake:
    """Return a lake without anything, published."""
    copied = Lake(tmp_path / "lake")
    shutil.copytree(empty_template.root, copied.root)
    return copied
