"""Finding the shipped SQL."""

from __future__ import annotations

import pytest

from vison_etl import sqlfiles
from vison_etl.sqlfiles import about, list_sql, read_sql


def test_folders_are_listed_without_endings() -> None:
    assert {"gain", "readout_noise", "offsets", "summary"} <= set(list_sql("fpa"))
    assert list_sql("metatests") == tuple(sorted(list_sql("metatests")))
    assert list_sql("no_such_folder") == ()


def test_ending_may_be_left_out() -> None:
    assert read_sql("fpa/gain") == read_sql("fpa/gain.sql")


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match=r"nearest: .*metatests/gain"):
        read_sql("metatests/gian.sql")
    with pytest.raises(FileNotFoundError):
        read_sql("../pyproject")


def test_about_is_one_sentence() -> None:
    assert about("fpa/gain.sql") == "What is the gain over the focal plane?"


def test_wheel_has_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from pathlib import Path

    packaged = Path(str(tmp_path)) / "_sql" / "fpa"
    packaged.mkdir(parents=True)
    (packaged / "only.sql").write_text("-- Where from?\nselect 1\n")
    monkeypatch.setattr(sqlfiles, "files", lambda _: Path(str(tmp_path)))
    assert list_sql("fpa") == ("only",)
    assert about("fpa/only") == "Where from?"
