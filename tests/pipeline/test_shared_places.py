"""Tables of one place that several measurements and tests fill: nobody loses rows to another, and what nobody wants goes."""

from dataclasses import replace

import pytest

from vison_etl.effects.declare import Extracted, Measurement
from vison_etl.lake.parts import part_files, read, write_part
from vison_etl.lake.paths import Lake
from vison_etl.pipeline import measure as stage
from vison_etl.pipeline.measure import Measured, Place, Work, measure
from vison_etl.pipeline.unit_worker import UnitResult
from vison_etl.pipeline.units import FrameRef, UnitTask

HERE = Place("B", "PTC01", "B/PTC01/100")
THERE = Place("B", "PTC02_590", "B/PTC02_590/200")
TABLES = ("noise_pairs", "previews")


class Quiet:
    def total(self, n):
        pass

    def advance(self, n):
        pass


def declared(name, tables=("previews",)):
    return Measurement(name, tables, "group", 1, {}, lambda *_: Extracted({}))


def work(name, *keys, place=HERE, tables=("previews",)):
    """Return work whose units have these keys, one per script column."""
    tasks = tuple(
        UnitTask("e", name, key, "CCD1", f"col{n:03d}", (FrameRef("p", 100 + n, "CCD1", "d", "s", 0, 9),), {}, {})
        for n, key in enumerate(keys, start=1)
    )
    return Work(place, declared(name, tables), tasks)


def rows_of(task):
    pairs = {"obsid_1": [100], "obsid_2": [101], "ccd": ["CCD1"], "quadrant": ["E"], "region": [task.script_column]}
    tables = {"noise_pairs": pairs, "previews": {"kind": [task.measurement], "ccd": ["CCD1"]}}
    return UnitResult(tables, {})


def runner(function, tasks, /):
    for task in tasks:
        known = rows_of(task)
        yield task, replace(known, tables={"previews": known.tables["previews"]}), None


def both_tables(function, tasks, /):
    yield from ((task, rows_of(task), None) for task in tasks)


def run(lake, *works, run=runner, claimed=(), store=True) -> Measured:
    return measure(lake, works, run, claimed=lambda _: frozenset(claimed), store=store, progress=Quiet())


def keys(lake, table="previews"):
    return sorted(read(lake, table)["unit_key"])


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def test_two_measurements_fill_one_table(lake):
    first = run(lake, work("m", "a", "b"), work("n", "c"))
    assert keys(lake) == ["a", "b", "c"]
    assert (first.n_done, first.n_kept) == (3, 0)
    again = run(lake, work("m", "a", "b"), work("n", "c", "d"))
    assert (again.n_done, again.n_kept) == (1, 3)
    assert keys(lake) == ["a", "b", "c", "d"]
    assert sorted(again.tables["previews"]["unit_key"]) == ["a", "b", "c", "d"]


def test_rows_that_another_test_wants_stay_and_the_rest_goes(lake):
    run(lake, work("m", "a", "b"))
    found = run(lake, work("n", "c"), claimed=("a", "c"))
    assert keys(lake) == ["a", "c"]
    assert found.tables["previews"]["unit_key"].to_list() == ["c"]
    # without new rows, old ones that nobody wants go too
    run(lake, work("n", "c"))
    assert keys(lake) == ["c"]


def test_who_wants_what_is_asked_only_where_rows_might_go(lake):
    def asked(_):
        raise AssertionError("asked")

    run(lake, work("m", "a", "b"))
    both = (work("m", "a", "b"), work("n", "c"))
    assert measure(lake, both, runner, claimed=asked, store=True, progress=Quiet()).n_done == 1


def test_what_another_process_wrote_meanwhile_stays(lake):
    def meanwhile(function, tasks, /):
        run(lake, work("other", "x"))
        yield from runner(function, tasks)

    run(lake, work("m", "a"), run=meanwhile, claimed=("a", "x"))
    assert keys(lake) == ["a", "x"]


def test_the_same_unit_from_two_processes_is_one(lake):
    def meanwhile(function, tasks, /):
        run(lake, work("m", "a"))
        yield from runner(function, tasks)

    run(lake, work("m", "a", "b"), run=meanwhile)
    assert keys(lake) == ["a", "b"]


def test_several_places_at_once(lake):
    found = run(lake, work("m", "a", "b"), work("m", "c", place=THERE))
    assert found.n_done == 3
    rows = read(lake, "previews").select("test", "acquisition", "unit_key").sort("unit_key").rows()
    assert rows == [(p.test, p.acquisition, k) for p, k in ((HERE, "a"), (HERE, "b"), (THERE, "c"))]
    assert sorted(found.tables["previews"]["unit_key"]) == ["a", "b", "c"]
    assert len(part_files(lake, "previews")) == 2


def test_trials_read_and_store_nothing(lake):
    run(lake, work("m", "a"))
    trial = run(lake, work("m", "a", "b"), store=False)
    assert sorted(trial.tables["previews"]["unit_key"]) == ["a", "b"]
    assert keys(lake) == ["a"]


def test_killed_between_two_tables_it_goes_on(lake, monkeypatch):
    """The table by which a unit is known to be done is written last."""
    two = work("m", "a", "b", tables=TABLES)
    written = []

    def dies(lake, name, *rest, **more):
        if written:
            raise KeyboardInterrupt
        written.append(name)
        return write_part(lake, name, *rest, **more)

    monkeypatch.setattr(stage, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        run(lake, two, run=both_tables)
    monkeypatch.undo()
    assert written == ["previews"]
    assert read(lake, "noise_pairs").is_empty()
    again = run(lake, two, run=both_tables)
    assert (again.n_done, again.n_kept) == (2, 0)
    assert keys(lake) == keys(lake, "noise_pairs") == ["a", "b"]
    assert run(lake, two, run=both_tables).n_done == 0


def test_a_unit_that_fails_when_measured_again_leaves_no_old_rows(lake):
    run(lake, work("m", "a", "b"))
    product = replace(work("m", "a", "b"), measurement=replace(declared("m"), products=("flat",)))
    failed = run(lake, product, run=lambda _, tasks: ((task, None, OSError("gone")) for task in tasks))
    assert [label.split()[0] for label, _ in failed.failures] == ["e.m", "e.m"]
    assert failed.tables["previews"].is_empty()
    assert not part_files(lake, "previews")
