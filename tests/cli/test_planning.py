from __future__ import annotations

import csv
import io
import json

import pytest

from vison_etl.cli import app as entry
from vison_etl.cli.errors import USAGE
from vison_etl.elvis.scripts import read_script
from vison_etl.pipeline.scripts import EQUIPMENT

REQUEST = {
    "chamber": "B_NOSTROMO",
    "tests": ["MOT_WARM", "BIAS02", "COSMETICS00", "FOCUS00", "FLATFLUX00", "PSFLUX00", "PTC02WAVE", "BF01"],
    "equipment": dict.fromkeys(EQUIPMENT, "FM14"),
    "outpath": "scripts",
}
SESSIONS = {
    "inpath": "scripts",
    "sessions": {
        "D00": ["MOT_WARM"],
        "D11": ["COSMETICS00", "FOCUS00_800", "FLATFLUX00_800", "PSFLUX00_800", "PTC02_730"],
    },
}


@pytest.fixture
def call(tmp_path, monkeypatch, capsysbinary):
    """Run the command line in a folder with both files; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    (tmp_path / "sessions.json").write_text(json.dumps(SESSIONS))

    def run(*words):
        monkeypatch.setattr("sys.argv", ["vison-etl", *words])
        monkeypatch.setattr("vison_etl.cli.console.prepare_streams", lambda: None)
        with pytest.raises(SystemExit) as done:
            entry.main()
        out, err = capsysbinary.readouterr()
        return done.value.code, out.decode(), err.decode()

    return run


def test_scripts_are_written_and_sessions_built(call, tmp_path):
    code, out, err = call("scripts", "write", "request.json", "--day", "2019-02-01")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "left out: BF01 uses the exposures of PTC01 and has no script of its own",
        f"21 scripts, 180 frames, 291.84 min, written to {tmp_path / 'scripts'}",
    ]
    assert "stand already in" in call("scripts", "write", "request.json", "--day", "2019-02-01")[2]
    code, _, err = call("sessions", "build", "sessions.json", "--out", "sessions")
    assert code == 0
    assert err.splitlines()[0] == f"D00: 1 script, 8 frames, in {tmp_path / 'sessions' / 'D00'}"
    order = (tmp_path / "sessions" / "D11" / "TEST_SEQUENCE_D11.txt").read_text().split()
    assert [read_script(tmp_path / "sessions" / "D11" / name).test for name in order] == SESSIONS["sessions"]["D11"]


def test_what_is_missing_is_one_line_and_code_2(call, tmp_path):
    for words, said in (
        (("scripts", "write", "nowhere.json"), "no such file"),
        (("scripts", "write", "request.json", "--day", "1.2.2019"), "--day 1.2.2019: write YYYY-MM-DD"),
        (("sessions", "build", "sessions.json"), "names no 'outpath'; give --out DIR"),
        (("sessions", "build", "sessions.json", "--out", "out"), "no such folder of scripts"),
        (("scripts",), "missing command"),
        (("plan", "--chamber", "NOSTROMO"), "no chamber 'NOSTROMO'; nearest: B_NOSTROMO"),
        (("plan", "--sessions", "recomended"), "nearest: recommended"),
        (("plan", "--page", "no/where.html"), "--page no/where.html"),
    ):
        code, out, err = call(*words)
        assert (code, out, len(err.splitlines())) == (USAGE, "", 1)
        assert said in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["request.json", "sessions.json"]


def test_the_plan_per_session_with_totals(call):
    code, out, err = call("plan", "--chamber", "B_NOSTROMO", "--sessions", "sessions.json")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["session", "test", "columns", "frames", "minutes"]
    assert lines[1:3] == [["D00", "MOT_WARM", "8", "8", "12.13"], ["D00", "total", "8", "12.13"]]
    assert lines[-1] == ["D11", "total", "51", "80.77"]
    assert err == "6 tests, 59 frames, 92.90 min = 1.55 h\n"


def test_the_plan_as_data_and_as_a_page(call, tmp_path):
    words = ("plan", "--chamber", "B_NOSTROMO", "--variant", "as_acquired", "--format", "csv", "--page", "plan.html")
    code, out, err = call(*words)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0])[:5] == ["session", "test", "columns", "frames", "minutes"]
    assert len(rows) == 52
    assert err.splitlines() == ["52 tests, 1912 frames, 3263.07 min = 54.38 h", "page written to plan.html"]
    assert "PERSIST01" in (tmp_path / "plan.html").read_text()


def test_the_plan_without_a_chamber_says_what_is_missing(call):
    code, out, err = call("plan")
    assert code == 0
    assert "BIAS01" in out
    assert "give --chamber" in err
