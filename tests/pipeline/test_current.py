from datetime import UTC, datetime

import polars as pl

from vison_etl.lake.parts import schema
from vison_etl.pipeline.current import current_run
from vison_etl.pipeline.inputs import rank_gain_runs, same_timing

ACQUISITIONS = [
    {
        "acquisition": "B/PTC01/10",
        "block": "B",
        "test": "PTC01",
        "is_adopted": False,
        "obsid_first": 10,
        "obsid_last": 19,
    },
    {
        "acquisition": "B/PTC01/30",
        "block": "B",
        "test": "PTC01",
        "is_adopted": True,
        "obsid_first": 30,
        "obsid_last": 39,
    },
    {
        "acquisition": "B/PTC02_730/50",
        "block": "B",
        "test": "PTC02_730",
        "is_adopted": True,
        "obsid_first": 50,
        "obsid_last": 59,
    },
    {
        "acquisition": "B/PTC02_880/70",
        "block": "B",
        "test": "PTC02_880",
        "is_adopted": True,
        "obsid_first": 70,
        "obsid_last": 79,
    },
]


def run(number, acquisition="B/PTC01/30", **other):
    known = next(a for a in ACQUISITIONS if a["acquisition"] == acquisition)
    return {
        "run_id": f"r{number}",
        "block": "B",
        "test": known["test"],
        "acquisition": acquisition,
        "obsid_first": known["obsid_first"],
        "obsid_last": known["obsid_last"],
        "status": "ok",
        "is_trial": False,
        "started_at": f"2026-01-01T00:00:{number:02d}",
    } | other


def overrides(*rows):
    return pl.DataFrame([dict.fromkeys(schema("overrides")) | row for row in rows], schema=schema("overrides"))


def current(runs, *decisions):
    found = current_run(runs, ACQUISITIONS, overrides(*decisions), "B", "PTC01")
    return found and found["run_id"]


def test_the_newest_good_run_of_the_whole_adopted_acquisition_counts():
    runs = [
        run(1),
        run(2, status="flagged"),
        run(3, status="failed"),
        run(4, is_trial=True),
        run(5, "B/PTC01/10"),
        run(6, obsid_last=35),
    ]
    assert current(runs) == "r2"
    assert current(runs[2:]) is None
    assert current([]) is None


def test_an_adopted_run_counts_until_somebody_decides_otherwise():
    runs = [run(1), run(2), run(4, is_trial=True)]
    adopt = {"kind": "adopt", "block": "B", "test": "PTC01", "reason": "better"}
    pinned = adopt | {"run_id": "r4", "made_at": datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)}
    later = adopt | {"acquisition": "B/PTC01/30", "made_at": datetime(2026, 1, 3, tzinfo=UTC).replace(tzinfo=None)}
    assert current(runs, pinned) == "r4"
    assert current(runs, pinned, later) == "r2"
    assert current(runs, pinned | {"test": "PTC02_730"}) == "r2"


def test_gain_comes_from_ptc01_else_from_the_nearest_to_800_nm():
    nm = {"PTC02_880": 880.0, "PTC02_730": 730.0, "PTC01": 800.0}
    runs = [run(1), run(2, "B/PTC02_730/50"), run(3, "B/PTC02_880/70")]
    assert [r["run_id"] for r in rank_gain_runs(runs, ACQUISITIONS, overrides(), "B", nm)] == ["r1", "r2", "r3"]
    assert [r["run_id"] for r in rank_gain_runs(runs[1:], ACQUISITIONS, overrides(), "B", nm)] == ["r2", "r3"]


def test_serial_timing_must_agree():
    assert same_timing((8.4, 5.625), (8.4, 5.6251))
    assert not same_timing((8.4, 5.625), (6.5, 0.175))
    assert not same_timing((8.4, None), (8.4, 5.625))
    assert same_timing((None, None), (None, None))
