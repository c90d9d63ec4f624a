from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from vison_etl.elvis.stamps import (
    format_reading_time,
    format_stamp,
    parse_clock,
    parse_day,
    parse_reading_time,
    parse_stamp,
)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("251116D150614T", 2016),
        ("010100D000000T", 2000),
        ("311219D235959T", 2019),
        ("050821D010203T", 2021),
        ("010199D000000T", 2099),
    ],
)
def test_two_digit_years_are_20yy(text, year):
    time = parse_stamp(text)
    assert time is not None
    assert time.year == year
    assert format_stamp(time) == text


def test_the_older_form_of_file_names():
    assert parse_stamp("231016D_135042T") == datetime.fromisoformat("2016-10-23T13:50:42")


@pytest.mark.parametrize(
    "text",
    ["", "2016-11-25T15:06:14", "311119D150614T", "251316D150614T", "251116D250614T", "٢51116D150614T", "251116D1506"],
)
def test_other_texts_are_no_stamps(text):
    assert parse_stamp(text) is None


def test_readings_clocks_and_days():
    time = datetime.fromisoformat("2021-03-12T23:59:58")
    assert parse_reading_time(format_reading_time(time)) == time
    assert parse_reading_time("12-03-21_24:00:00") is None
    assert parse_clock("15:06:14") == timedelta(hours=15, minutes=6, seconds=14)
    assert parse_clock("24:00:00") is None
    assert parse_day("050800") == parse_day("05-08-00") == date(2000, 8, 5)
    assert parse_day("350800") is None
