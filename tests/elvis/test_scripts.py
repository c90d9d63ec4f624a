from __future__ import annotations

import io
import zipfile
from datetime import date

import numpy as np
import openpyxl
import pytest

from tests.reference import reference_file
from vison_etl.elvis import workbooks
from vison_etl.elvis.scripts import (
    ScriptError,
    content_digest,
    day_text,
    grid_of,
    make_script,
    parse_script_name,
    read_script,
    script_bytes,
    script_name,
)
from vison_etl.instrument.elvis_keys import script_keys

DEFAULTS = {row.key: row.default for row in script_keys()} | {"test": "PTC01"}
COLUMNS = [
    DEFAULTS | {"frames": 10, "exptime": 0.2 * 3.5},
    DEFAULTS | {"frames": 5, "exptime": 4.2, "comments": "=1+1"},
    DEFAULTS | {"frames": 1, "exptime": 1e-3, "operator": "#N/A", "sn_roe": "007", "comments": " ä <&> "},
]
NAME = "vis_CalCamp_PTC01_22Nov26_v7.5.X.xlsx"


@pytest.fixture
def edited(tmp_path):
    """Write the script with some cells changed; None blanks a cell."""

    def write(**cells):
        book = openpyxl.load_workbook(io.BytesIO(script_bytes(make_script(COLUMNS))))
        for name, value in cells.items():
            book["Sheet1"][name] = value
        book.save(tmp_path / NAME)
        return tmp_path / NAME

    return write


def test_a_script_is_read_back_as_it_was_written(tmp_path):
    script = make_script(COLUMNS)
    (tmp_path / NAME).write_bytes(script_bytes(script))
    found = read_script(tmp_path / NAME)
    assert found == script
    assert list(found.columns) == COLUMNS
    assert found.test == "PTC01"
    assert found.n_frames == 16
    assert [list(column) for column in found.columns] == [[row.key for row in script_keys()]] * 3


def test_the_sheet_has_keys_running_totals_and_end():
    grid = grid_of(make_script(COLUMNS))
    assert grid[0] == ["frames", 10, 15, 16, "End"]
    assert [row[0] for row in grid] == [row.key for row in script_keys()]
    assert all(row[-1] is None for row in grid[1:])
    exptime = next(row for row in grid if row[0] == "exptime")
    assert exptime == ["exptime", 0.7000000000000001, 4.2, 0.001, None]
    assert next(row for row in grid if row[0] == "comments")[1] is None


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1e22, 123456789.123456789, 5e-324, 2.4499999999999997])
def test_numbers_have_sixteen_digits_and_no_more(tmp_path, value):
    (tmp_path / NAME).write_bytes(script_bytes(make_script([DEFAULTS | {"exptime": value}])))
    found = read_script(tmp_path / NAME).columns[0]["exptime"]
    assert found == float(f"{value:.16g}")
    assert found == pytest.approx(value, rel=1e-15)


def test_equal_scripts_are_equal_to_the_byte_whenever_they_are_written(monkeypatch):
    first = script_bytes(make_script(COLUMNS))
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert script_bytes(make_script(COLUMNS)) == first
    assert {member.date_time for member in zipfile.ZipFile(io.BytesIO(first)).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_checksum_is_of_the_content(edited, tmp_path):
    script = make_script(COLUMNS)
    assert content_digest(read_script(edited())) == content_digest(script)
    assert (tmp_path / NAME).read_bytes() != script_bytes(script)
    assert content_digest(read_script(edited(B4=13.5))) != content_digest(script)
    assert content_digest(make_script([DEFAULTS | {"sn_roe": "7"}])) != content_digest(make_script([DEFAULTS]))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"A1": "Frames"}, r"cell A1 is 'Frames', wanted 'frames'"),
        ({"E1": None}, r"row 1 has no 'End' after cell D1"),
        ({"B1": "End"}, r"cell B1 is 'End': a script without columns"),
        ({"F1": 17}, r"cell F1 is 17, behind the 'End'"),
        ({"E9": 4}, r"cell E9 is 4, behind the 'End'"),
        ({"C1": 9}, r"cell C1, frames, is 9, not more than the 10 before it"),
        ({"C1": 10}, r"cell C1, frames, is 10, not more than"),
        ({"C1": 12.5}, r"cell C1, frames, is 12\.5, wanted a whole number"),
        ({"C1": "many"}, r"cell C1, frames, is 'many'"),
        ({"A5": "IDX"}, r"cell A5 is 'IDX', no script key"),
        ({"A5": "IDL"}, r"cell A5 repeats 'IDL'"),
        ({"A70": None, "B70": None, "C70": None, "D70": None}, r"column A lacks roe-tab"),
        ({"A71": "extra"}, r"cell A71 is 'extra', no script key"),
        ({"C5": None}, r"cell C5, IDH, is blank, wanted a number"),
        ({"C26": None}, r"cell C26, rdmode, is blank, wanted a text"),
        ({"C5": "high"}, r"cell C5, IDH, is 'high', wanted a number"),
        ({"C5": "=1+2"}, r"cell C5 holds a formula, '=1\+2'"),
        ({"C5": "#DIV/0!"}, r"cell C5 holds an error"),
        ({"C5": True}, r"cell C5 is True, neither"),
        ({"C5": date(2026, 1, 1)}, r"cell C5 is .*2026.*, neither"),
        ({"C69": "a\nb"}, r"cell C69 has control characters"),
    ],
)
def test_a_script_that_is_wrong_is_refused_with_file_and_cell(edited, cells, message):
    with pytest.raises(ScriptError, match=rf"^{NAME}: .*{message}"):
        read_script(edited(**cells))


def test_what_a_spreadsheet_program_may_change_does_not_matter(edited, tmp_path):
    path = edited(B67=7)
    assert read_script(path).columns[0]["sn_roe"] == "7"
    book = openpyxl.load_workbook(path)
    sheet = book["Sheet1"]
    sheet.insert_rows(71)
    sheet.move_range("A2:E2", rows=69)
    sheet.delete_rows(2)
    sheet["H90"].font = openpyxl.styles.Font(bold=True)
    book.create_sheet("Notes")["A1"] = "my notes"
    book.save(path)
    assert [dict(column) for column in read_script(path).columns] == [COLUMNS[0] | {"sn_roe": "7"}, *COLUMNS[1:]]


def test_a_workbook_without_the_sheet_names_those_it_has(tmp_path):
    (tmp_path / NAME).write_bytes(workbooks.write_sheets({"Meta": [["a"]], "Tests": []}))
    with pytest.raises(ScriptError, match=r"no sheet 'Sheet1'; it has 'Meta', 'Tests'"):
        read_script(tmp_path / NAME)
    (tmp_path / NAME).write_bytes(workbooks.write_sheets({"Sheet1": []}))
    with pytest.raises(ScriptError, match=r"A1 is None"):
        read_script(tmp_path / NAME)


def test_a_missing_file_a_folder_and_no_workbook_are_refused(tmp_path):
    with pytest.raises(ScriptError, match="no such file"):
        read_script(tmp_path / NAME)
    with pytest.raises(ScriptError, match="directory"):
        read_script(tmp_path)
    (tmp_path / NAME).write_text("frames\t10")
    with pytest.raises(ScriptError, match=f"^{NAME}: not a whole xlsx workbook"):
        read_script(tmp_path / NAME)


def test_damage_anywhere_gives_the_script_or_one_clear_error(tmp_path):
    whole, script = script_bytes(make_script(COLUMNS)), make_script(COLUMNS)
    rng = np.random.default_rng(3)
    refused = 0
    for number in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole))] if number % 3 == 0 else whole)
        for place in rng.integers(len(whole), size=4 if number % 3 else 0):
            damaged[place] = rng.integers(256)
        (tmp_path / NAME).write_bytes(bytes(damaged))
        try:
            assert len(read_script(tmp_path / NAME).columns) == len(script.columns)
        except ScriptError as error:
            refused += 1
            assert str(error).startswith(NAME)  # noqa: PT017 - either outcome is right
    assert refused > 30


@pytest.mark.filterwarnings("ignore:Workbook contains no stylesheet")
def test_damaged_members_in_a_sound_container_are_refused(tmp_path):
    rng = np.random.default_rng(4)
    with zipfile.ZipFile(io.BytesIO(script_bytes(make_script(COLUMNS)))) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name, content in members.items():
        for cut in (content[: len(content) // 2], b"", rng.bytes(100), b"<a/>", None):
            with zipfile.ZipFile(tmp_path / NAME, "w") as new:
                for other, kept in members.items():
                    if other != name:
                        new.writestr(other, kept)
                    elif cut is not None:
                        new.writestr(other, cut)
            try:
                read_script(tmp_path / NAME)
            except ScriptError as error:
                assert str(error).startswith(NAME)  # noqa: PT017 - not every member is needed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exptime": None}, "exptime is None"),
        ({"exptime": float("nan")}, "exptime: nan"),
        ({"frames": 0}, "frames is 0"),
        ({"frames": 1.5}, "frames is 1.5"),
        ({"operator": ""}, "operator is blank"),
        ({"operator": "a\x1b[31m"}, "operator: .*control characters"),
        ({"rdmode": "x" * 40000}, "rdmode: .*too long"),
        ({"wave": "F4"}, "wave is 'F4', wanted a number"),
        ({"chinj": True}, "chinj is True"),
        ({"new_key": 1}, "new_key"),
    ],
)
def test_a_script_that_cannot_be_said_is_not_made(change, message):
    with pytest.raises(ScriptError, match=message):
        make_script([DEFAULTS, DEFAULTS | change])


def test_a_script_needs_columns():
    with pytest.raises(ScriptError, match="without columns"):
        make_script([])


def test_names_of_scripts():
    assert script_name("PTC01", date(2026, 11, 22)) == NAME
    assert day_text(date(2019, 3, 1)) == "01Mar19"
    for test in ("NL02", "NL02_155R", "FOCUS00_800", "BIAS02.1"):
        found = parse_script_name(script_name(test, date(2019, 2, 1), "6.5.X"))
        assert (found.test, found.day, found.version) == (test, date(2019, 2, 1), "6.5.X")
    for name in ("vis_CalCamp_BIAS01_31Feb19_v7.5.X.xlsx", "vis_CalCamp_BIAS01.xlsx", f"{NAME}.tmp", f"~${NAME}"):
        assert parse_script_name(name) is None


@pytest.mark.parametrize("test", ["BIAS01", "PTC01", "TP11"])
def test_scripts_of_the_reference_are_read_and_written_cell_by_cell(test, tmp_path):
    path = reference_file(f"reference/acquisition/xlsx/vis_CalCamp_{test}_22Nov26_v7.5.X.xlsx")
    script = read_script(path)
    assert script.test == test
    assert script.version == "7.5.X"
    (tmp_path / NAME).write_bytes(script_bytes(script))
    wanted, found = (openpyxl.load_workbook(one)["Sheet1"] for one in (path, tmp_path / NAME))
    assert [[cell.value for cell in row] for row in found] == [[cell.value for cell in row] for row in wanted]
