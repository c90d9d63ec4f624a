from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vison_etl.elvis.explog import LogError, read_log
from vison_etl.instrument.elvis_keys import log_columns

HEADER = "\t".join(column.name for column in log_columns("7.5.X"))
_CELLS = {"ObsID": "17273", "File_name": "EUC_17273_x", "CCD": "CCD1", "date": "120321D101112T", "test": "BIAS01"}
GOOD = "\t".join(_CELLS.get(column.name, "1") for column in log_columns("7.5.X"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\r\n\t\r\n", "empty"),
        (GOOD.encode() + b"\n", "no_header"),
        (b"\x00\xff\x89PNG" * 100, "no_header"),
        (b"one line", "no_header"),
    ],
)
def test_files_that_are_no_log(tmp_path, data, reason):
    path = tmp_path / "EXP_LOG_120321.txt"
    path.write_bytes(data)
    with pytest.raises(LogError) as error:
        read_log(path)
    assert error.value.reason == reason


def test_files_that_cannot_be_read(tmp_path):
    for path, reason in ((tmp_path / "EXP_LOG_010101.txt", "missing"), (tmp_path, "unreadable")):
        with pytest.raises(LogError) as error:
            read_log(path)
        assert error.value.reason == reason
        assert pickle.loads(pickle.dumps(error.value)).detail == error.value.detail


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1500), st.binary(max_size=60))
def test_no_damage_raises_and_every_line_is_counted(tmp_path_factory, at, junk):
    data = f"{HEADER}\r\n{GOOD}\t\r\n{GOOD}\t\r\n".encode()
    data = data[: len(HEADER) + 2 + at] + junk + data[len(HEADER) + 2 + at :]
    path = tmp_path_factory.mktemp("log") / "EXP_LOG_120321.txt"
    path.write_bytes(data)
    log = read_log(path)
    assert len(log.rows) == sum(bool(line.strip()) for line in data.split(b"\n")) - 1
    for row in log.rows:
        assert row.problem is not None or (row.obsid is not None and row.ccd is not None)
