"""Decisions written down in files."""

from __future__ import annotations

from datetime import datetime

import pytest

from vison_etl.campaign.override_rows import OverrideError, read_decisions

HEADER = "block,test,acquisition,obsids,ccd,quadrant,action,reason,author,date\n"


def test_rows_of_a_csv_file(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(
        HEADER
        + "born,BIAS01,,17001:17003,ccd2,e,exclude,noisy amplifier,R. Smith,2019-03-13\n"
        + ",,,,,,,,,\n"
        + 'BORN,,,17010,,,exclude,"cosmic shower, all of it",,\n'
        + "BORN,,,17020:,,,exclude,lamp broke,,2019-03-13T10:00:00+01:00\n"
        + "BORN,,BORN/PTC01/17030,,,,adopt,the better one,,\n",
        encoding="utf-8",
    )
    first, second, third, fourth = read_decisions(path)
    assert first == {
        "kind": "exclude", "block": "BORN", "test": "BIAS01", "acquisition": None, "obsid_first": 17001, "obsid_last": 17003,
        "ccd": "CCD2", "quadrant": "E", "reason": "noisy amplifier", "author": "R. Smith",
        "made_at": datetime(2019, 3, 13),  # noqa: DTZ001 - UTC without zone, as stored
    }  # fmt: skip
    assert (second["obsid_first"], second["obsid_last"], second["reason"]) == (17010, 17010, "cosmic shower, all of it")
    assert not {"author", "made_at"} & set(second)
    assert (third["obsid_first"], third["obsid_last"]) == (17020, None)
    assert third["made_at"].hour == 9
    assert (fourth["kind"], fourth["acquisition"]) == ("adopt", "BORN/PTC01/17030")


def test_tables_of_a_toml_file_say_the_same(tmp_path):
    csv, toml = tmp_path / "d.csv", tmp_path / "d.toml"
    csv.write_text("block,obsids,action,reason,date\nBORN,17001:17003,exclude,noise,2019-03-13\n", encoding="utf-8")
    toml.write_text(
        '[[override]]\nblock = "BORN"\nobsids = "17001:17003"\naction = "exclude"\nreason = "noise"\ndate = 2019-03-13\n',
        encoding="utf-8",
    )
    assert read_decisions(csv) == read_decisions(toml)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace("obsids", "obsid"), "line 2: unknown column 'obsid'; nearest: obsids"),
        (HEADER, "line 2: block is empty"),
        ("block,action,reason\nBORN,exclude,\n", "line 2: reason is empty"),
        ("block,action,reason\nBORN,omit,noise\n", "line 2: action is 'omit': one of exclude, adopt"),
        ("block,action,reason\nBORN,adopt,noise\n", "line 2: adopt needs an acquisition"),
        ("block,action,reason,ccd\nBORN,exclude,noise,4\n", "line 2: ccd is '4': one of CCD1, CCD2, CCD3"),
        ("block,action,reason,obsids\nBORN,exclude,noise,a:b\n", "line 2: obsids is 'a:b': write FIRST:LAST"),
        ("block,action,reason,obsids\nBORN,exclude,noise,9:3\n", "the first exposure comes after the last"),
        ("block,action,reason,date\nBORN,exclude,noise,13/03/19\n", "line 2: date is '13/03/19'"),
        ("block,action,reason\nBORN,exclude\n", "line 2 has not as many values as the header has names"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named(tmp_path, text, message):
    path = tmp_path / "decisions.csv"
    path.write_text(text if text.count("\n") > 1 else text + ",,,1,,,,noise,,\n", encoding="utf-8")
    with pytest.raises(OverrideError) as caught:
        read_decisions(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(OverrideError, match="cannot be read"):
        read_decisions(tmp_path / "none.csv")
    path = tmp_path / "d.toml"
    path.write_text("[override]\n", encoding="utf-8")
    with pytest.raises(OverrideError, match=r"write tables \[\[override\]\]"):
        read_decisions(path)
