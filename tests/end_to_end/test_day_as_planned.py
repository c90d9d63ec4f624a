"""A day from its plan to its verdicts: scripts, sessions, acquisition, ingest, status, checks. Clean data raise nothing, faults are found."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.end_to_end.campaign import work
from vison_etl.elvis.scripts import read_script
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.executors import make_runner
from vison_etl.pipeline.ingest import ingest
from vison_etl.pipeline.requests import read_session_plan
from vison_etl.pipeline.scripts import make_scripts, read_script_request, write_scripts
from vison_etl.pipeline.sessions import build_sessions
from vison_etl.pipeline.status import status_table
from vison_etl.simulate.day import simulate_day

REQUEST = """
chamber = "B_NOSTROMO"
tests = ["MOT_WARM", "COSMETICS00", "FOCUS00", "FLATFLUX00", "PSFLUX00", "PTC02WAVE"]
outpath = "scripts"
[equipment]
operator = "abc"
sn_ccd1 = "A"
sn_ccd2 = "B"
sn_ccd3 = "C"
sn_roe = "FM01"
sn_rpsu = "FM01"
"""
SESSIONS = """
inpath = "scripts"
outpath = "sessions"
[sessions]
D00 = ["MOT_WARM"]
D11 = ["COSMETICS00", "FOCUS00_800", "FLATFLUX00_800", "PSFLUX00_800", "PTC02_730"]
"""
WRITTEN_AT = datetime(2019, 3, 11, 17)  # noqa: DTZ001 - scripts carry no zone
D11 = {"COSMETICS00": 10, "FOCUS00_800": 9, "FLATFLUX00_800": 4, "PSFLUX00_800": 4, "PTC02_730": 24}

FAULTS = {"COSMETICS00": ("lost_pixels", "LOSTPIXELS"), "FOCUS00_800": ("source_off", "STARS_MISSING"),
          "FLATFLUX00_800": ("missing_hk", "HK_MISSING"), "PSFLUX00_800": ("hot_hk", "HK_OOL"),
          "PTC02_730": ("missing", "MISSDATA")}  # fmt: skip


def planned(folder) -> list[str]:
    """Write scripts and build sessions; return the tests of session D11 as its scripts have them."""
    for name, text in (("request.toml", REQUEST), ("sessions.toml", SESSIONS)):
        (folder / name).write_text(text, encoding="utf-8")
    request = read_script_request(folder / "request.toml")
    assert request.outpath is not None
    write_scripts(make_scripts(request, WRITTEN_AT), request.outpath, WRITTEN_AT, overwrite=False)
    out = folder / "sessions"
    sessions, notes = build_sessions(read_session_plan(folder / "sessions.toml"), request.outpath, out, overwrite=False)
    assert [(s.name, s.n_frames) for s in sessions] == [("D00", 8), ("D11", sum(D11.values()))]
    assert notes == []
    names = (out / "D11" / "TEST_SEQUENCE_D11.txt").read_text(encoding="utf-8").split()
    return [str(read_script(out / "D11" / name).columns[0]["test"]) for name in names]


def acquired(folder, tests, faults) -> tuple[Lake, dict[str, dict]]:
    """Simulate a day, ingest and check it; return the lake and the status of each test acquired."""
    day = simulate_day(folder / "raw", "NOSTROMO", tests, seed=8, jobs=2, faults=faults)
    lake = Lake(folder / "lake")
    with make_runner(0) as run:
        report = ingest(lake, [day.folder], run=run, block="NOSTROMO")
    assert report.exit_code == (1 if faults else 0)
    assert {outcome.action for outcome in work(lake, partial=True)} <= {"stored", "skipped"}
    rows = status_table(lake, ["NOSTROMO"], "Full").rows(named=True)
    assert len(rows) == 52 + len(("BF01", "BF01_590", "BF01_730", "BF01_880"))
    return lake, {row["test"]: row for row in rows if row["test"] in tests}


@pytest.mark.slow
def test_a_clean_day_raises_nothing(tmp_path):
    tests = planned(tmp_path)
    assert tests == list(D11)
    _, rows = acquired(tmp_path, tests, [])
    assert {test: row["found"] for test, row in rows.items()} == D11
    assert {row["state"] for row in rows.values()} == {"analysed", "checked"}
    assert [row for row in rows.values() if row["flags"] or row["outside"]] == []


@pytest.mark.slow
def test_each_fault_of_a_day_is_found_where_it_is(tmp_path):
    first, faults = 17001, []
    for test, n in D11.items():
        faults.append({"obsid": first + 2, "kind": FAULTS[test][0], "ccd": "CCD2", "quadrant": "G"})
        first += n
    _, rows = acquired(tmp_path, list(D11), faults)
    for test, (_, flag) in FAULTS.items():
        assert flag in rows[test]["flags"], test
        others = {other for _, other in FAULTS.values()} - {flag}
        assert not others & set(str(rows[test]["flags"]).split(", ")), test
