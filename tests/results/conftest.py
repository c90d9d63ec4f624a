"""A small published lake, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.results.fake_lake import small_lake
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish


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
