"""Decisions of a file: what they leave out is left out everywhere, and the same file twice decides nothing new."""

from __future__ import annotations

import polars as pl
import pytest

from tests.end_to_end.campaign import work
from vison_etl.campaign.definitions import UnknownTest
from vison_etl.lake.parts import read
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.decisions import DecisionError, decide_by_file
from vison_etl.pipeline.status import status_table

HEADER = "block,test,acquisition,obsids,ccd,quadrant,action,reason\n"


def written(folder, rows):
    path = folder / "decisions.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def test_a_channel_of_one_test_is_left_out_of_its_checks(lake, tmp_path):
    path = written(tmp_path, "BORN,BIAS01,,,CCD2,F,exclude,bad amplifier\n")
    assert "1 of 1 decisions are new" in decide_by_file(lake, path)
    assert "0 of 1 decisions are new" in decide_by_file(lake, path)
    assert read(lake, "overrides").height == 1
    stale = status_table(lake, ["BORN"]).filter(pl.col("state") == "stale")
    assert stale["test"].to_list() == ["BIAS01"]
    work(lake, "BIAS01")
    run = max((r for r in list_runs(lake) if r["test"] == "BIAS01"), key=lambda r: r["started_at"])
    rows = read_run_table(lake, run["run_id"], "compliance")
    mine = (pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "F")
    assert rows.filter(mine).is_empty()
    assert rows.filter(pl.col("rule") == "offset.pre")["quadrant"].unique().sort().to_list() == ["E", "F", "G", "H"]


def test_a_file_with_one_bad_row_decides_nothing(lake, tmp_path):
    good = "BORN,BIAS01,,17001,,,exclude,cosmic shower\n"
    with pytest.raises(UnknownTest, match="BIAS01"):
        decide_by_file(lake, written(tmp_path, good + "BORN,BIAS9,,17001,,,exclude,cosmic shower\n"))
    with pytest.raises(DecisionError, match="neither a run nor an acquisition"):
        decide_by_file(lake, written(tmp_path, good + "BORN,,BORN/BIAS01/1,,,,adopt,better\n"))
    assert read(lake, "overrides").is_empty()


def test_states_of_tests_with_and_without_frames_of_their_own(analysed):
    states = dict(status_table(analysed, ["BORN"], "Full").select("test", "state").iter_rows())
    assert states["BIAS01"] == "analysed"
    assert states["BF01_730"] == "analysed"
    assert states["BF01_590"] == states["CHINJ01"] == "expected"
