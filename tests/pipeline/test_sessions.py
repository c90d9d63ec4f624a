from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from vison_etl.elvis.scripts import ScriptError
from vison_etl.pipeline.placing import PlaceError
from vison_etl.pipeline.plan import Setting
from vison_etl.pipeline.requests import RequestError, SessionPlan, read_session_plan
from vison_etl.pipeline.scripts import EQUIPMENT, ScriptRequest, make_scripts, write_scripts
from vison_etl.pipeline.sessions import build_sessions, find_scripts

MOMENT = datetime(2019, 2, 1, 8)  # noqa: DTZ001 - the clock on the wall of the bench
HANDLES = ("BIAS02", "BIAS02.1", "COSMETICS00", "FOCUS00", "NL02RD", "PTC02_730")
PLAN = SessionPlan(None, None, {"D11": ("COSMETICS00", "FOCUS00_800", "PTC02_730"), "D21": ("BIAS02.1", "BIAS02")})


def name_of(test):
    return f"vis_CalCamp_{test}_01Feb19_v7.5.X.xlsx"


@pytest.fixture(scope="session")
def made():
    asked = ScriptRequest("test", Setting("B_NOSTROMO"), "7.5.X", dict.fromkeys(EQUIPMENT, "FM14"), HANDLES, None)
    return make_scripts(asked, MOMENT)


@pytest.fixture
def scripts(made, tmp_path):
    folder = tmp_path / "scripts"
    write_scripts(made, folder, MOMENT, overwrite=False)
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def build(scripts, plan=PLAN, *, overwrite=False):
    return build_sessions(plan, scripts, scripts.parent / "out", overwrite=overwrite)


def test_sessions_hold_copies_and_their_order(scripts):
    sessions, notes = build(scripts)
    assert [(one.name, len(one.scripts), one.n_frames) for one in sessions] == [("D11", 3, 43), ("D21", 2, 20)]
    assert notes == []
    found = contents(scripts.parent / "out")
    for session, tests in PLAN.sessions.items():
        order = found.pop(f"{session}/TEST_SEQUENCE_{session}.txt").decode()
        assert order == "".join(f"{name_of(test)}\n" for test in tests)
        for test in tests:
            assert found.pop(f"{session}/{name_of(test)}") == (scripts / name_of(test)).read_bytes()
    assert found == {}


def test_a_test_is_found_by_its_whole_name(scripts):
    assert find_scripts(scripts, ["NL02_155R", "BIAS02"]) == {
        "NL02_155R": scripts / name_of("NL02_155R"),
        "BIAS02": scripts / name_of("BIAS02"),
    }
    with pytest.raises(RequestError, match=r"no script of NL02, nearest: NL02_"):
        find_scripts(scripts, ["NL02"])


def test_absence_and_ambiguity_stop_it_with_all_names(scripts):
    later = name_of("BIAS02").replace("01Feb19", "02Feb19")
    (scripts / later).write_bytes((scripts / name_of("BIAS02")).read_bytes())
    plan = SessionPlan(None, None, {"D21": ("PTC02_730", "FOCUS00", "BIAS02")})
    with pytest.raises(RequestError) as caught:
        build(scripts, plan)
    for name in ("no script of FOCUS00", "FOCUS00_800", "2 scripts of BIAS02", name_of("BIAS02"), later):
        assert name in str(caught.value)
    assert not (scripts.parent / "out").exists()
    with pytest.raises(RequestError, match="no such folder"):
        build(scripts.parent / "nowhere")


def test_a_script_that_is_damaged_or_of_another_test_stops_it(scripts):
    (scripts / name_of("PTC02_730")).write_bytes((scripts / name_of("FOCUS00_800")).read_bytes())
    with pytest.raises(RequestError, match=r"PTC02_730.*its row 'test' says FOCUS00_800"):
        build(scripts)
    (scripts / name_of("PTC02_730")).write_bytes(b"PK")
    with pytest.raises(ScriptError, match=name_of("PTC02_730")):
        build(scripts)
    assert not (scripts.parent / "out").exists()


def test_a_script_that_was_changed_is_used_with_a_note(scripts):
    sums = scripts / "CHECK_SUMS_01Feb19.txt"
    text = sums.read_text()
    sums.write_text(text.replace(text.splitlines()[-1].split("\t")[1], "0" * 32))
    _, notes = build(scripts)
    assert notes == [f"{name_of('PTC02_730')} is not what its CHECK_SUMS file says: changed since it was written"]


def test_built_again_nothing_changes_and_another_content_needs_overwrite(scripts):
    out = scripts.parent / "out"
    build(scripts)
    before = contents(out)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    build(scripts)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == stamps
    other = SessionPlan(None, None, {"D11": ("BIAS02",), "D22": ("BIAS02",)})
    with pytest.raises(PlaceError, match=r"has D11 of other content"):
        build(scripts, other)
    assert contents(out) == before
    build(scripts, other, overwrite=True)
    assert sorted(contents(out / "D11")) == ["TEST_SEQUENCE_D11.txt", name_of("BIAS02")]
    assert sorted(path.name for path in out.iterdir()) == ["D11", "D21", "D22"]


def test_a_folder_with_something_else_in_it_is_never_replaced(scripts):
    build(scripts)
    (scripts.parent / "out" / "D11" / "log.txt").write_text("mine")
    with pytest.raises(PlaceError, match=r"log.txt, which is not of a session"):
        build(scripts, overwrite=True)
    assert (scripts.parent / "out" / "D11" / "log.txt").read_text() == "mine"


def test_nothing_is_left_when_the_disk_refuses(scripts, monkeypatch):
    build(scripts)
    before = contents(scripts.parent)

    def fail(path, target):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        build(scripts, SessionPlan(None, None, {"D11": ("BIAS02",)}), overwrite=True)
    monkeypatch.undo()
    assert contents(scripts.parent) == before


def test_a_plan_of_sessions_is_json_toml_or_a_named_selection(tmp_path):
    raw = {"inpath": "scripts", "outpath": "/data/sessions", "sessions": {"D21": ["BIAS02"], "D11": ["PTC02_730"]}}
    (tmp_path / "a.json").write_text(json.dumps(raw))
    (tmp_path / "a.toml").write_text(
        "inpath = 'scripts'\noutpath = '/data/sessions'\n[sessions]\nD21 = ['BIAS02']\nD11 = ['PTC02_730']\n"
    )
    found = [read_session_plan(tmp_path / name) for name in ("a.json", "a.toml")]
    assert (
        found[0]
        == found[1]
        == SessionPlan(tmp_path / "scripts", Path("/data/sessions"), {"D21": ("BIAS02",), "D11": ("PTC02_730",)})
    )
    assert list(found[0].sessions) == ["D21", "D11"]
    (tmp_path / "b.toml").write_text("selection = 'recommended'")
    assert list(read_session_plan(tmp_path / "b.toml").sessions) == ["D00", "D11", "D12", "D21", "D22"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"sessions": {"D11": ["A"]}, "sessions": {}}', r"a\.json: 'sessions' stands twice"),
        ('{"sessions": {"../D11": ["A"]}}', r"its name must fit a folder"),
        ('{"sessions": {".": ["A"]}}', r"its name must fit a folder"),
        ('{"sessions": {"D11": "A"}}', r"session 'D11' is 'A', wanted a list"),
        ('{"sessions": {"D11": []}}', r"wanted a list"),
        ('{"sessions": {}}', r"not a table with entries"),
        ('{"session": {}}', r"unknown key 'session'; nearest: sessions"),
        ('{"sessions": {"D11": ["A"]}, "selection": "recommended"}', r"either 'sessions' or 'selection'"),
        ("{}", r"either 'sessions' or 'selection'"),
        ("[]", r"wanted a table"),
        ('{"sessions":\n{"D11": [A]}}', r"a\.json: .*line 2 column 10"),
        ("\x00", r"a\.json: "),
        ("[" * 100_000, r"nested too deeply"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RequestError, match=message):
        read_session_plan(tmp_path / "a.json")
    with pytest.raises(RequestError, match=r"a \.toml or a \.json"):
        read_session_plan(tmp_path / "a.yaml")
    with pytest.raises(RequestError, match="no such file"):
        read_session_plan(tmp_path / "b.json")
