"""Which run counts: every case of the rule, on published snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from tests.results.fake_lake import ask, store_acquisition, store_override, store_run
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish

BORN = {"block": "BORN", "test": "BIAS01"}


def current(lake: Lake, **where: Any) -> list[str]:
    """Publish; return the current runs."""
    publish(lake)
    condition = " and ".join(f"{name} = '{value}'" for name, value in where.items()) or "true"
    return [run for (run,) in ask(lake.root, f"select run_id from runs where is_current and {condition} order by 1")]


def of_acquisitions(lake: Lake) -> dict[str, str]:
    """Return the current run of each acquisition."""
    return dict(ask(lake.root, "select acquisition, run_id from runs where is_current_of_acquisition"))


def test_newest_good_run_counts(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    store_run(empty_lake, acquisition, 1)
    second = store_run(empty_lake, acquisition, 2, status="flagged")
    assert current(empty_lake) == [second]
    assert ask(empty_lake.root, "select distinct run_id from offsets") == [(second,)]
    assert ask(empty_lake.root, "select count(distinct run_id) from history.offsets") == [(2,)]
    assert ask(empty_lake.root, "select count(*), count(*) filter (where is_current) from runs") == [(2, 1)]


def test_failed_run_never_replaces_a_good_one(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    good = store_run(empty_lake, acquisition, 1)
    failed = store_run(empty_lake, acquisition, 2, status="failed")
    assert current(empty_lake) == [good]
    store_override(empty_lake, 3, kind="adopt", run_id=failed, acquisition=acquisition, **BORN)
    assert current(empty_lake) == [good]


def test_trial_counts_only_when_adopted(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    good = store_run(empty_lake, acquisition, 1)
    trial = store_run(empty_lake, acquisition, 2, is_trial=True)
    assert current(empty_lake) == [good]
    store_override(empty_lake, 3, kind="adopt", run_id=trial, acquisition=acquisition, **BORN)
    assert current(empty_lake) == [trial]
    assert of_acquisitions(empty_lake) == {acquisition: trial}
    store_run(empty_lake, acquisition, 4)
    assert current(empty_lake) == [trial]


def test_only_a_run_of_the_whole_acquisition_counts(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    whole = store_run(empty_lake, acquisition, 1)
    store_run(empty_lake, acquisition, 2, n=5)
    assert current(empty_lake) == [whole]
    store_acquisition(empty_lake, "BORN", "BIAS01", 100, n=12)
    assert current(empty_lake) == []
    grown = store_run(empty_lake, acquisition, 3, n=12)
    assert current(empty_lake) == [grown]


def test_adopted_acquisition_counts_and_every_shows_all(empty_lake: Lake) -> None:
    first = store_acquisition(empty_lake, "BORN", "BIAS01", 100, adopted=False)
    second = store_acquisition(empty_lake, "BORN", "BIAS01", 200)
    aborted = store_acquisition(empty_lake, "BORN", "BIAS01", 300, status="aborted", adopted=False)
    run_1, run_2, run_3 = (
        store_run(empty_lake, name, minute) for minute, name in enumerate((first, second, aborted), 1)
    )
    rerun_1 = store_run(empty_lake, first, 9)
    assert current(empty_lake) == [run_2]
    assert of_acquisitions(empty_lake) == {first: rerun_1, second: run_2, aborted: run_3}
    assert ask(empty_lake.root, "select distinct acquisition from every.offsets order by 1") == [
        (first,),
        (second,),
        (aborted,),
    ]
    assert ask(empty_lake.root, "select count(*) from every.runs") == [(3,)]
    assert run_1 not in of_acquisitions(empty_lake).values()


def test_latest_decision_about_an_acquisition_wins(empty_lake: Lake) -> None:
    first = store_acquisition(empty_lake, "BORN", "BIAS01", 100, adopted=False)
    second = store_acquisition(empty_lake, "BORN", "BIAS01", 200)
    run_1, run_2 = store_run(empty_lake, first, 1), store_run(empty_lake, second, 2)
    store_override(empty_lake, 3, kind="adopt", acquisition=first, **BORN)
    assert current(empty_lake) == [run_1]
    store_override(empty_lake, 4, kind="adopt", acquisition=second, **BORN)
    assert current(empty_lake) == [run_2]
    store_override(empty_lake, 5, kind="adopt", run_id=run_1, acquisition=first, **BORN)
    assert current(empty_lake) == [run_1]
    store_override(empty_lake, 6, kind="adopt", acquisition=second, **BORN)
    assert current(empty_lake) == [run_2]


def test_decision_about_one_test_leaves_the_others(empty_lake: Lake) -> None:
    bias = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    other = store_acquisition(empty_lake, "BORN", "BIAS02", 200)
    old, new = store_run(empty_lake, bias, 1), store_run(empty_lake, bias, 2)
    untouched = store_run(empty_lake, other, 3)
    store_override(empty_lake, 4, kind="adopt", run_id=old, **BORN)
    store_override(empty_lake, 5, kind="exclude", block="BORN", obsid_first=1, obsid_last=2)
    assert current(empty_lake) == sorted([old, untouched])
    assert new not in of_acquisitions(empty_lake).values()


@pytest.mark.parametrize("what", [{"run_id": "gone"}, {"acquisition": "BORN/BIAS01/999"}])
def test_decision_about_something_gone_is_void(empty_lake: Lake, what: dict[str, str]) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    good = store_run(empty_lake, acquisition, 1)
    store_override(empty_lake, 3, kind="adopt", **what, **BORN)
    assert current(empty_lake) == [good]


def test_decision_that_names_the_run_only_is_enough(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100)
    old = store_run(empty_lake, acquisition, 1)
    store_run(empty_lake, acquisition, 2)
    store_override(empty_lake, 3, kind="adopt", run_id=old)
    assert current(empty_lake) == [old]


def test_test_without_frames_of_its_own_follows_its_source(empty_lake: Lake) -> None:
    first = store_acquisition(empty_lake, "BORN", "PTC01", 100, adopted=False)
    second = store_acquisition(empty_lake, "BORN", "PTC01", 200)
    on_first, on_second = store_run(empty_lake, first, 1, test="BF01"), store_run(empty_lake, second, 2, test="BF01")
    source = store_run(empty_lake, second, 3)
    assert current(empty_lake, test="BF01") == [on_second]
    assert current(empty_lake, test="PTC01") == [source]
    store_override(empty_lake, 4, kind="adopt", block="BORN", test="PTC01", acquisition=first)
    assert current(empty_lake, test="BF01") == [on_first]


def test_no_complete_acquisition_no_current_run(empty_lake: Lake) -> None:
    acquisition = store_acquisition(empty_lake, "BORN", "BIAS01", 100, status="partial", adopted=False)
    run = store_run(empty_lake, acquisition, 1)
    assert current(empty_lake) == []
    assert of_acquisitions(empty_lake) == {acquisition: run}
