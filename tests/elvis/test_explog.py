from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.reference import reference_file
from vison_etl.elvis.explog import LogError, day_of_log, log_name, read_log, write_log
from vison_etl.instrument.elvis_keys import log_columns, versions
from vison_etl.tables import table

SAMPLE = Path(__file__).parent / "data" / "EXP_LOG_020218.txt"
STARTED = datetime.fromisoformat("2021-03-12T10:11:12")
ROW = {
    "obsid": 17273, "file_name": "EUC_17273_120321D101112T_ROE1_CCD1", "ccd": "CCD1", "roe": "ROE1", "started_at": STARTED,
    "test_in_log": "BIAS01", "exptime_s": 1.5, "vstart": 0, "vend": 2086, "idl_v": 13.0, "motr": 1, "v_tp_mod": 123, "egse_ver": "7.5.X",
    "swelldly_us": 5.625, "iphi": "I1I2I3", "wave": 4,
}  # fmt: skip


def _log(tmp_path, *lines, end="\n"):
    path = tmp_path / "EXP_LOG_120321.txt"
    data = end.join(lines) + end
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def _cells(version="7.5.X", **values):
    row = {
        "ObsID": "17273",
        "File_name": "EUC_17273_x",
        "CCD": "CCD1",
        "date": "120321D101112T",
        "test": "BIAS01",
        **values,
    }
    return [row.get(column.name, "1") for column in log_columns(version)]


HEADER = "\t".join(column.name for column in log_columns("7.5.X"))
GOOD = "\t".join(_cells())


def test_the_sample_of_5_7_05_is_read_by_its_names():
    log = read_log(SAMPLE)
    assert (log.version, log.unknown_columns, log.problems) == ("5.7.05", (), ())
    assert [(row.line, row.obsid, row.ccd) for row in log.rows] == [
        (2, 7, "CCD1"), (3, 7, "CCD2"), (4, 7, "CCD3"), (5, 8, "CCD1"), (6, 8, "CCD2"), (7, 8, "CCD3"),
    ]  # fmt: skip
    values = log.rows[-1].values
    assert len(values) == 69
    assert values["started_at"] == datetime.fromisoformat("2018-02-02T10:12:12")
    assert (values["toi_tp_us"], values["vend"], values["lim_scan"]) == (
        1000.0,
        100,
        1,
    )  # "TOI _pump", "Vend ", "Lim_scan "
    assert values["exptime_s"] == 1.5  # 1500 ms
    assert (values["idl_v"], values["ig1_v"], values["rdmode"], values["iphi"]) == (11.0, 3.0, "Normal", "I2I3")
    assert all(row.problem is None and row.notes == () for row in log.rows)


def test_name_and_contents_need_not_agree():
    assert day_of_log("somewhere/EXP_LOG_050800.txt") == "2000-08-05"
    assert day_of_log("EXP_LOG_311221.txt") == "2021-12-31"
    assert day_of_log("EXP_LOG_321221.txt") is None
    assert day_of_log("EXP_LOG_merged.txt") is None
    assert day_of_log(log_name(date(2019, 3, 12))) == "2019-03-12"


@pytest.mark.parametrize("version", [version for version in versions() if version != "FPA"])
def test_every_version_reads_as_written(tmp_path, version):
    path = tmp_path / "EXP_LOG_120321.txt"
    known = {column.normalised for column in log_columns(version)}
    rows = [{**ROW, "ccd": ccd, "egse_ver": version} for ccd in ("CCD1", "CCD2", "CCD3")]
    write_log(path, version, rows)
    log = read_log(path)
    assert (log.version, log.problems, log.unknown_columns) == (version, (), ())
    for row, wanted in zip(log.rows, rows, strict=True):
        assert row.problem is None
        assert {name: value for name, value in row.values.items() if value is not None} == {
            name: value for name, value in wanted.items() if name in known
        }
        for name, value in row.values.items():
            kind = {"text": str, "int": int, "float": float, "timestamp": datetime}[
                table("exposures").column(name).kind
            ]
            assert value is None or type(value) is kind


def test_written_logs_have_the_units_and_line_ends_of_elvis(tmp_path):
    path = tmp_path / "EXP_LOG_120321.txt"
    write_log(path, "6.1.0", [ROW])
    header, row, rest = path.read_bytes().split(b"\r\n")
    assert rest == b""
    cells = dict(zip(header.split(b"\t"), row.split(b"\t"), strict=True))
    assert (cells[b"Exptime"], cells[b"IDL_V"], cells[b"DATE"], cells[b"RPSU_SN"]) == (
        b"1500",
        b"13",
        b"120321D101112T",
        b"",
    )


def test_shared_lists_are_told_apart_by_what_the_rows_say(tmp_path):
    for said, version in (("7.2.X", "7.2.X"), ("7.5.3", "7.5.X"), ("6.5.1", "6.5.X"), ("unheard of", "7.5.X")):
        assert read_log(_log(tmp_path, HEADER, "\t".join(_cells(egse_ver=said)))).version == version


def test_the_spelling_of_6_3_0(tmp_path):
    names = [column.name for column in log_columns("6.3.0")]
    assert {"motr_on", "v_tpmod", "s_tpmod", "spw_clk"} <= set(names)
    log = read_log(
        _log(tmp_path, "\t".join(names), "\t".join(_cells("6.3.0", v_tpmod="341", motr_on="0", egse_ver="6.3.0")))
    )
    assert log.version == "6.3.0"
    assert (log.rows[0].values["v_tp_mod"], log.rows[0].values["motr"]) == (341, 0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\r\n", "\t\t\n"])
def test_line_ends_trailing_tabs_and_blank_lines(tmp_path, end):
    log = read_log(_log(tmp_path, HEADER, GOOD, "", "  \t\t ", GOOD, end=end))
    assert [row.line for row in log.rows] == [2, 5]
    assert [row.problem for row in log.rows] == [None, None]
    assert log.version == "7.5.X"


def test_an_empty_last_field_is_missing_not_an_error(tmp_path):
    cells = _cells(RD_B="")
    log = read_log(_log(tmp_path, HEADER, "\t".join(cells), "\t".join(cells[:-1]), "\t".join(cells[:40]), end="\t\r\n"))
    assert [row.problem for row in log.rows] == [None, None, None]
    assert [row.values["rd_b_v"] for row in log.rows] == [None, None, None]
    assert log.rows[2].values["s_tp_cnt"] is None


def test_padded_names_and_values(tmp_path):
    header = "\t".join(f" {name}  " for name in HEADER.split("\t"))
    log = read_log(_log(tmp_path, header, "\t".join(f" {cell} " for cell in _cells())))
    assert log.version == "7.5.X"
    assert log.rows[0].obsid == 17273
    assert log.rows[0].values["test_in_log"] == "BIAS01"


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"ObsID": "x17"}, "ObsID is 'x17', not an exposure number"),
        ({"ObsID": ""}, "ObsID is ''"),
        ({"ObsID": "-1"}, "ObsID is '-1'"),
        ({"ObsID": "9" * 12}, "not an exposure number"),
        ({"ObsID": "NaN"}, "not an exposure number"),
        ({"CCD": "CCD4"}, "CCD is 'CCD4', not one of CCD1, CCD2, CCD3"),
        ({"CCD": ""}, "CCD is ''"),
        ({"date": "321321D101112T"}, "date is '321321D101112T', not ddmmyyDhhmmssT"),
        ({"date": ""}, "date is ''"),
        ({"operator": "a\0b"}, "operator has control bytes"),
        ({"fl_rdout": "\x1b[0m"}, "fl_rdout has control bytes"),
        ({"RD_B": "16\t17"}, "82 fields for 81 columns"),
    ],
)
def test_bad_rows_name_the_column_and_the_rest_goes_on(tmp_path, cells, problem):
    log = read_log(_log(tmp_path, HEADER, GOOD, "\t".join(_cells(**cells)), GOOD))
    assert [row.problem is None for row in log.rows] == [True, False, True]
    assert problem in log.rows[1].problem


def test_bad_rows_keep_what_can_be_read(tmp_path):
    row = read_log(_log(tmp_path, HEADER, "\t".join(_cells(date="never")))).rows[0]
    assert (row.obsid, row.ccd) == (17273, "CCD1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("exptime", "long"),
        ("exptime", "nan"),
        ("IDL", "inf"),
        ("IDL", "1e999"),
        ("vend", "5.5"),
        ("vend", "9" * 25),
        ("motr", "1_0"),
        ("wave", "٣"),
        ("toi_fl", "1,5"),
    ],
)
def test_optional_numbers_that_do_not_parse_are_missing_with_a_note(tmp_path, name, text):
    row = read_log(_log(tmp_path, HEADER, "\t".join(_cells(**{name: text})))).rows[0]
    column = next(column for column in log_columns("7.5.X") if column.name == name)
    assert row.problem is None
    assert row.values[column.normalised] is None
    assert len(row.notes) == 1
    assert row.notes[0].startswith(f"{name} is ")


def test_texts_that_are_no_utf_8_are_missing_with_a_note(tmp_path):
    path = tmp_path / "EXP_LOG_120321.txt"
    path.write_bytes(f"{HEADER}\n".encode() + "\t".join(_cells(operator="José")).encode("latin-1") + b"\n")
    row = read_log(path).rows[0]
    assert (row.problem, row.values["operator"]) == (None, None)
    assert "operator" in row.notes[0]


def test_whole_numbers_may_be_written_as_decimals(tmp_path):
    assert read_log(_log(tmp_path, HEADER, "\t".join(_cells(flushes="7.000")))).rows[0].values["flushes"] == 7


def test_a_last_line_that_is_being_written(tmp_path):
    path = tmp_path / "EXP_LOG_120321.txt"
    for cut in (len(GOOD) - 5, 120, 6, 3):
        path.write_text(f"{HEADER}\n{GOOD}\n{GOOD[:cut]}")
        log = read_log(path)
        assert [row.problem is None for row in log.rows] == [True, False]
        assert "cut short after" in log.rows[1].problem
        assert "without a line end" in log.rows[1].problem
    path.write_text(f"{HEADER}\n{GOOD}\n{GOOD}")
    assert [row.problem for row in read_log(path).rows] == [None, None]


def test_extra_columns_are_listed_and_the_nearest_version_is_named(tmp_path):
    log = read_log(_log(tmp_path, f"{HEADER}\tsurprise\tmotr_on", f"{GOOD}\t5\t0"))
    assert log.version == "7.5.X"
    assert log.unknown_columns == ("surprise", "motr_on")
    assert log.rows[0].values["motr"] == 1
    assert any("nearest to 7.5.X" in problem for problem in log.problems)
    assert any("motr_on" in problem for problem in log.problems)
    bad = read_log(_log(tmp_path, f"{HEADER}\tsurprise", f"{GOOD}\t\x01"))
    assert bad.rows[0].problem == "surprise has control bytes"


@pytest.mark.parametrize("name", ["ObsID", "File_name", "CCD", "test"])
def test_missing_mandatory_columns(tmp_path, name):
    header = HEADER.split("\t")
    header.remove(name)
    with pytest.raises(LogError, match=f"lacks {name}") as error:
        read_log(_log(tmp_path, "\t".join(header), GOOD))
    assert error.value.reason == "missing_columns"


def test_a_minimal_log_is_enough(tmp_path):
    row = read_log(_log(tmp_path, "ObsID\tFile_name\tCCD\ttest", "3\tEUC_3\tCCD2\tBIAS01")).rows[0]
    assert (row.problem, row.obsid, row.ccd) == (None, 3, "CCD2")


def test_a_log_of_the_focal_plane_has_one_row_per_exposure(tmp_path):
    log = read_log(
        _log(tmp_path, "ObsID\tFile_name\tdate\tprogram\ttest", "5\tVIS_5.fits\t120321D101112T\tFPA\tBIAS01")
    )
    assert (log.version, len(log.rows)) == ("FPA", 1)
    assert log.rows[0].values["file_name"] == "VIS_5.fits"
    assert "focal plane" in log.rows[0].problem


def test_the_mark_of_the_file_read(tmp_path):
    path = _log(tmp_path, HEADER, GOOD)
    status = path.stat()
    assert read_log(path).stamp == f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def test_the_sample_of_the_bench():
    log = read_log(reference_file("samples/EXP_LOG_050800.txt"))
    assert (log.version, len(log.rows)) == ("5.7.05", 6)
    with reference_file("reference/data/explog_sample_header_5.7.05.csv").open() as file:
        names = [row["raw_name"].strip() for row in csv.DictReader(file) if row["raw_name"].strip()]
    assert [column.name for column in log_columns("5.7.05")] == names
    assert {row.obsid for row in log.rows} == {191, 192}
    assert log.rows[0].values["started_at"] == datetime.fromisoformat("2016-11-25T15:06:14")
    assert log.rows[0].values["idl_v"] == 11.0
