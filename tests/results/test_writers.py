"""Answers as files: what is read back is what was written."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from vison_etl.results.writers import write_rows, write_xlsx

FRAME = pl.DataFrame(
    {
        "block": ["BORN", 'a\x07b,"c"', None],
        "n": [1, None, -3],
        "gain_e_per_adu": [3.4, float("inf"), None],
        "ok": [True, False, None],
        "started_at": [datetime.fromisoformat("2019-03-01T10:00:00.5"), None, datetime.fromisoformat("2019-03-02")],
        "day": [date(2019, 3, 1), None, None],
        "lags": [[1, 2], [], None],
        "nothing": [None, None, None],
    }
)


def test_json_is_one_array_of_row_objects(tmp_path: Path) -> None:
    write_rows(FRAME, "json", tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found[0] == {
        "block": "BORN", "n": 1, "gain_e_per_adu": 3.4, "ok": True, "started_at": "2019-03-01T10:00:00.500000",
        "day": "2019-03-01", "lags": [1, 2], "nothing": None,
    }  # fmt: skip
    assert found[1]["gain_e_per_adu"] is None
    assert len(found) == 3
    write_rows(FRAME.clear(), "json", tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == []


def test_csv(tmp_path: Path) -> None:
    write_rows(FRAME, "csv", tmp_path / "a.csv")
    found = pl.read_csv(tmp_path / "a.csv")
    assert found.columns == FRAME.columns
    assert found["started_at"].to_list() == ["2019-03-01T10:00:00.500000", None, "2019-03-02T00:00:00"]
    assert found["lags"].to_list() == ["[1, 2]", "[]", None]
    assert found["gain_e_per_adu"][0] == 3.4


def test_parquet_keeps_types(tmp_path: Path) -> None:
    write_rows(FRAME, "parquet", tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(FRAME)


def test_xlsx(tmp_path: Path) -> None:
    write_rows(FRAME, "xlsx", tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    found = list(sheet.iter_rows(values_only=True))
    assert list(found[0]) == FRAME.columns
    assert found[1] == ("BORN", 1, 3.4, True, "2019-03-01T10:00:00.500000", "2019-03-01", "[1, 2]", None)
    assert found[2][:3] == ('ab,"c"', None, None)
    assert sheet.freeze_panes == "A2"
    assert sheet.column_dimensions["E"].width > sheet.column_dimensions["B"].width


def test_xlsx_of_more_columns_than_letters() -> None:
    file = io.BytesIO()
    write_xlsx(pl.DataFrame({f"c{i}": [i] for i in range(60)}), file)
    assert [cell.value for cell in openpyxl.load_workbook(file).active[2]] == list(range(60))


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_rows(FRAME.select("n"), "csv", None)
    assert capfdbinary.readouterr().out == b"n\n1\n\n-3\n"


def test_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="csv, json, parquet, xlsx"):
        write_rows(FRAME, "pdf", tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()
