from __future__ import annotations

import csv
import json
from datetime import datetime
from hashlib import md5

import openpyxl
import pytest

from tests.reference import reference_file
from vison_etl.campaign.rules import UnknownTest
from vison_etl.campaign.structures import structure
from vison_etl.elvis.scripts import ScriptError, grid_of, read_script
from vison_etl.pipeline.placing import PlaceError
from vison_etl.pipeline.requests import RequestError
from vison_etl.pipeline.scripts import EQUIPMENT, make_scripts, read_script_request, script_of, write_scripts

MOMENT = datetime(2026, 11, 22, 23, 11, 58)  # noqa: DTZ001 - the clock on the wall of the bench
UNKNOWN_BENCH = dict(zip(EQUIPMENT, ("unk", *["14XXX-XX-XX"] * 3, "FMNN", "FMNN"), strict=True))
ASKED = {
    "equipment": UNKNOWN_BENCH,
    "elvis": "7.5.X",
    "CHAMBER": "B_NOSTROMO",
    "camptype": "Full",
    "outpath": "scripts",
    "toWrite": {"BIAS01": 1, "NL02": 0, "PTC01": 1, "TP11": 1},
}


def request(tmp_path, **changes):
    """Return the request of `ASKED` with changes, read from a file; None takes a key away."""
    path = tmp_path / "request.json"
    path.write_text(json.dumps({key: value for key, value in (ASKED | changes).items() if value is not None}))
    return read_script_request(path)


def write(asked, out, moment=MOMENT, *, overwrite=False):
    return write_scripts(make_scripts(asked, moment), out, moment, overwrite=overwrite)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_has_scripts_checksums_inventory_and_schedule(tmp_path):
    asked = request(tmp_path)
    assert asked.outpath == tmp_path / "scripts"
    assert write(asked, tmp_path / "scripts")
    scripts = [f"vis_CalCamp_{test}_22Nov26_v7.5.X.xlsx" for test in ("BIAS01", "PTC01", "TP11")]
    about = ["CHECK_SUMS_22Nov26.txt", "TESTS_INVENTORY_22Nov26.txt", "TESTS_SCHEDULER_22Nov26.xlsx"]
    assert sorted(contents(tmp_path / "scripts")) == [*about, *scripts]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    inventory = (tmp_path / "scripts" / about[1]).read_text().splitlines()
    assert inventory[:2] == ["Scripts written on 22Nov26 23:11:58", "checksumf: CHECK_SUMS_22Nov26.txt"]
    assert inventory[3:6] == [
        "",
        "BIAS01: 1 [15.58 min] cols: [10]",
        "PTC01: 11 [146.21 min] cols: [10, 10, 10, 10, 10, 10, 10, 10, 4, 4, 4]",
    ]
    assert inventory[7:] == ["", " 152 Frames Total", "", " 282.10 Minutes Total"]


def test_the_checksums_are_those_of_the_cells(tmp_path):
    write(request(tmp_path), tmp_path / "out")
    lines = (tmp_path / "out" / "CHECK_SUMS_22Nov26.txt").read_text().splitlines()
    for line in lines:
        name, digest = line[:60].rstrip(), line[61:]
        assert line[60] == "\t"
        sheet = openpyxl.load_workbook(tmp_path / "out" / name)["Sheet1"]
        rows = [[cell.value for cell in row] for row in sheet]
        assert md5(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest() == digest


def test_the_schedule_has_the_layout_that_people_know(tmp_path):
    write(request(tmp_path), tmp_path / "out")
    book = openpyxl.load_workbook(tmp_path / "out" / "TESTS_SCHEDULER_22Nov26.xlsx")
    assert book.sheetnames == ["Meta", "Tests"]
    assert [[cell.value for cell in row] for row in book["Tests"]] == [
        ["Test", "Ncols", "Nframes", "Duration_min"],
        ["BIAS01", 1, 10, "15.58"],
        ["PTC01", 11, 92, "146.21"],
        ["TP11", 50, 50, "120.31"],
    ]
    meta = {row[0].value: row[1].value for row in book["Meta"].iter_rows(min_row=5)}
    assert book["Meta"]["A5"].value == "date"
    assert meta["date"] == "'22Nov26 23:11:58'"
    assert meta["path"] == repr(str(tmp_path / "out"))
    assert meta["Nframes"] == "152"
    assert float(meta["Total_duration"]) == pytest.approx(282.10486821)


def test_tests_of_every_kind_are_read_back_as_they_were_commanded(tmp_path):
    handles = [
        "MOT_WARM",
        "FOCUS00",
        "FLATFLUX00",
        "NL02",
        "NL02RD",
        "CHINJ01",
        "TP02",
        "PSF02",
        "PERSIST01",
        "BIAS02.2",
    ]
    asked = request(tmp_path, toWrite=dict.fromkeys(handles, 1))
    made = make_scripts(asked, MOMENT)
    assert write(asked, tmp_path / "out")
    assert len(made.scripts) == 21
    for one in made.scripts:
        found = read_script(tmp_path / "out" / one.name)
        assert found == one.script
        wanted = structure(one.key.partition(".")[0], "B_NOSTROMO")
        assert found.test == wanted.test
        assert len(found.columns) == len(wanted.columns)
        for column, commanded in zip(found.columns, wanted.columns, strict=True):
            for key, value in commanded.values.items():
                expected = UNKNOWN_BENCH.get(key, value)
                assert column[key] == (float(f"{expected:.16g}") if isinstance(expected, float) else expected)
    assert made.scripts[-1].name == "vis_CalCamp_BIAS02.2_22Nov26_v7.5.X.xlsx"


def test_a_set_that_stands_there_is_left_and_another_is_not_overwritten(tmp_path):
    out = tmp_path / "out"
    assert write(request(tmp_path), out)
    before = contents(out)
    assert not write(request(tmp_path), out, MOMENT.replace(hour=23, minute=59))
    other = request(tmp_path, equipment=UNKNOWN_BENCH | {"operator": "abc"})
    with pytest.raises(PlaceError, match=r"vis_CalCamp_BIAS01_22Nov26.*of other content.*--overwrite"):
        write(other, out)
    assert contents(out) == before
    (out / "mine.txt").write_text("mine")
    assert write(other, out, overwrite=True)
    assert read_script(out / "vis_CalCamp_TP11_22Nov26_v7.5.X.xlsx").columns[0]["operator"] == "abc"
    assert (out / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_same_set_made_twice_is_the_same_to_the_byte(tmp_path):
    write(request(tmp_path), tmp_path / "a" / "out")
    first = contents(tmp_path / "a" / "out")
    (tmp_path / "a").rename(tmp_path / "b")
    write(request(tmp_path), tmp_path / "a" / "out")
    assert contents(tmp_path / "a" / "out") == first


def test_nothing_is_left_when_the_disk_refuses(tmp_path, monkeypatch):
    from pathlib import Path

    written = Path.write_bytes

    def fail(path, content):
        if "SCHEDULER" in path.name:
            raise OSError(28, "No space left on device", str(path))
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write(request(tmp_path), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["request.json"]


def test_tests_without_exposures_of_their_own_are_left_out_with_a_note(tmp_path):
    made = make_scripts(request(tmp_path, toWrite={"BF01": 1, "BIAS01": 1, "BF01WAVE": 1}), MOMENT)
    assert [one.key for one in made.scripts] == ["BIAS01"]
    assert made.notes[0] == "BF01 uses the exposures of PTC01 and has no script of its own"
    assert len(made.notes) == 4
    with pytest.raises(RequestError, match=r"no script to write; BF01 uses"):
        make_scripts(request(tmp_path, toWrite={"BF01": 1}), MOMENT)
    with pytest.raises(RequestError, match="no test is asked for"):
        make_scripts(request(tmp_path, toWrite={"BIAS01": 0}), MOMENT)


def test_the_variant_as_acquired_can_be_asked_for(tmp_path):
    asked = [request(tmp_path, toWrite={"FLATFLUX00": 1}, variant=variant) for variant in ("default", "as_acquired")]
    default, acquired = (make_scripts(one, MOMENT).scripts[0].script.columns for one in asked)
    assert [c["exptime"] for c in default] == pytest.approx([0.62, 2.48, 6.2, 9.92])
    assert [c["exptime"] for c in acquired] == pytest.approx([1.2, 3.6, 7.2, 9.6])


def test_json_as_people_write_it_is_read(tmp_path):
    path = tmp_path / "request.json"
    text = json.dumps(ASKED, indent=1)
    noted = text.replace('"elvis"', '# of the bench: "x", }\n"elvis"').replace("\n}", ", // last\n}")
    path.write_text(f"\ufeff{noted}".replace('"unk"', '"a, # } // b"'))
    found = read_script_request(path)
    assert found.equipment["operator"] == "a, # } // b"
    assert found.handles == ("BIAS01", "PTC01", "TP11")


def test_toml_asks_for_tests_or_a_named_selection(tmp_path):
    path = tmp_path / "request.toml"
    equipment = "".join(f"{key} = '{value}'\n" for key, value in UNKNOWN_BENCH.items())
    path.write_text(f"chamber = 'A_MAX'\ntests = ['BIAS01', 'FOCUS00']\n[equipment]\n{equipment}")
    found = read_script_request(path)
    assert (found.handles, found.elvis, found.outpath) == (("BIAS01", "FOCUS00"), "7.5.X", None)
    assert (found.setting.chamber, found.setting.campaign, found.setting.variant) == ("A_MAX", "Full", "default")
    path.write_text(f"chamber = 'A_MAX'\nselection = 'recommended'\n[equipment]\n{equipment}")
    made = make_scripts(read_script_request(path), MOMENT)
    assert len(made.scripts) == 27
    assert made.n_frames == 1205
    assert made.minutes / 60 == pytest.approx(34.64, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CHAMBER": "B_NOSTROM"}, "no chamber 'B_NOSTROM'; nearest: B_NOSTROMO"),
        ({"CHAMBER": None}, "'chamber' is missing"),
        ({"camptype": "Ful"}, "no campaign 'Ful'; nearest: Full"),
        ({"camptype": 1}, "'campaign' is 1, wanted a text"),
        ({"campaign": "Full"}, "'campaign' and 'camptype' say the same thing"),
        ({"toWrite": {"PTC1": 1}}, "no test or handle 'PTC1'; nearest: PTC01"),
        ({"toWrite": {"PTC01": 2}}, "toWrite: 'PTC01' is 2, wanted 0 or 1"),
        ({"toWrite": {"PTC01": "1"}}, "toWrite: 'PTC01' is '1'"),
        ({"toWrite": ["PTC01"]}, "'toWrite' is not a table"),
        ({"toWrite": None}, "give one of 'tests', 'selection', 'toWrite'"),
        ({"tests": ["PTC01"]}, "give one of"),
        ({"toWrite": None, "tests": []}, "wanted a list of names"),
        ({"toWrite": None, "selection": "recomended"}, "no selection 'recomended'; nearest: recommended"),
        ({"toWrite": {"FOCUS00": 1, "FOCUS00_800": 1}}, "FOCUS00_800 is asked for twice"),
        ({"elvis": "7.6"}, "elvis: no script version '7.6'"),
        ({"elvis": "6.3.0"}, "scripts of 6.3.0 have other keys"),
        ({"variant": "as_aquired"}, "nearest: as_acquired|no variant 'as_aquired'"),
        ({"equipment": {"operator": "x"}}, "equipment: 'sn_ccd1' is missing"),
        ({"equipment": UNKNOWN_BENCH | {"sn_ccd4": "x"}}, "equipment: unknown key 'sn_ccd4'"),
        ({"equipment": UNKNOWN_BENCH | {"sn_roe": "\x1b[2J"}}, "equipment: 'sn_roe' is"),
        ({"outpth": "x"}, "unknown key 'outpth'; nearest: outpath"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(tmp_path, changes, message):
    with pytest.raises((RequestError, UnknownTest, ValueError), match=message) as caught:
        make_scripts(request(tmp_path, **changes), MOMENT)
    assert type(caught.value).__module__.startswith("vison_etl.")


def test_a_structure_of_an_unknown_chamber_has_no_script():
    with pytest.raises(ScriptError, match=r"PTC01: column 1: exptime is None"):
        script_of(structure("PTC01", None), UNKNOWN_BENCH)


@pytest.mark.parametrize("test", ["BIAS01", "PTC01", "TP11"])
def test_scripts_equal_those_of_the_reference_cell_by_cell(test, tmp_path):
    path = reference_file(f"reference/acquisition/xlsx/vis_CalCamp_{test}_22Nov26_v7.5.X.xlsx")
    write(request(tmp_path), tmp_path / "out")
    wanted, found = (openpyxl.load_workbook(one)["Sheet1"] for one in (path, tmp_path / "out" / path.name))
    assert found.dimensions == wanted.dimensions
    assert [[cell.value for cell in row] for row in found] == [[cell.value for cell in row] for row in wanted]
    assert [[cell.data_type for cell in row if cell.value is not None] for row in found] == [
        [cell.data_type for cell in row if cell.value is not None] for row in wanted
    ]


def test_the_inventory_equals_that_of_the_reference(tmp_path):
    path = reference_file("reference/acquisition/xlsx/TESTS_INVENTORY_22Nov26.txt")
    write(request(tmp_path), tmp_path / "out")
    found, wanted = (one.read_text().splitlines() for one in (tmp_path / "out" / path.name, path))
    assert [line for line in found if "version" not in line] == [line for line in wanted if "version" not in line]


@pytest.mark.parametrize("chamber", ["B_NOSTROMO", "B_EINSTEIN", "A_MAX"])
def test_all_scripts_of_the_campaign_take_the_time_of_the_reference(tmp_path, chamber):
    path = reference_file(f"reference/acquisition/inventory_{chamber}.csv")
    rows = [row for row in csv.DictReader(path.read_text().splitlines()) if row["campaign"] == "Full"]
    handles = dict.fromkeys((row["handle"] for row in rows), 1)
    made = make_scripts(request(tmp_path, CHAMBER=chamber, toWrite=handles, variant="as_acquired"), MOMENT)
    wanted = {row["test"]: row for row in rows if not row["test"].startswith("BF01")}
    assert {one.key for one in made.scripts} == set(wanted)
    for one in made.scripts:
        row = wanted[one.key]
        assert (len(one.script.columns), one.script.n_frames) == (int(row["columns"]), int(row["frames"]))
        assert one.minutes == pytest.approx(float(row["minutes"]), abs=0.01)


def test_structures_of_the_reference_become_the_same_scripts(tmp_path):
    known = json.loads(reference_file("reference/acquisition/structures_B_NOSTROMO.json").read_text())
    assert list(UNKNOWN_BENCH) == list(known["equipment"])
    grid = grid_of(script_of(structure("PTC01", "B_NOSTROMO"), known["equipment"]))
    assert [row[0] for row in grid] == known["script_keys"]
