"""Work anywhere: everything comes back once, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.crashing import Item, die_at_start, environment, work
from tests.pipeline.day import contents, make_day, no_refresh, reasons, run_ingest, snapshot
from vison_etl.lake.paths import Lake
from vison_etl.pipeline import worker_pool
from vison_etl.pipeline.executors import make_runner
from vison_etl.pipeline.fan_out import WorkerDiedError, WorkersError
from vison_etl.pipeline.ingest import ingest


def run_all(jobs: int, items: list[Item]) -> dict[int, int | BaseException | None]:
    with make_runner(jobs) as run:
        found = [(item.number, error or result) for item, result, error in run(work, items)]
    assert len(found) == len(items)
    return dict(found)


@pytest.mark.parametrize("jobs", [0, 1, 2])
def test_everything_comes_back_once(jobs: int) -> None:
    items = [Item(n, "raises" if n == 7 else "good") for n in range(20)]
    found = run_all(jobs, items)
    assert {n: r for n, r in found.items() if n != 7} == {n: 2 * n for n in range(20) if n != 7}
    assert isinstance(found[7], ValueError)


def test_nothing_starts_without_items() -> None:
    with make_runner(2) as run:
        assert list(run(work, [])) == []


def test_a_dying_worker_costs_a_retry(tmp_path: Path) -> None:
    items = [Item(n, "accident" if n in {3, 11} else "good", str(tmp_path)) for n in range(20)]
    assert run_all(2, items) == {n: 2 * n for n in range(20)}


def test_a_poisonous_item_costs_itself_alone() -> None:
    items = [Item(n, "poison" if n in {0, 9, 10} else "good") for n in range(20)]
    found = run_all(2, items)
    assert {n for n, r in found.items() if isinstance(r, WorkerDiedError)} == {0, 9, 10}
    assert {n: r for n, r in found.items() if n not in {0, 9, 10}} == {
        n: 2 * n for n in range(20) if n not in {0, 9, 10}
    }


def test_workers_that_die_at_start_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "serve", die_at_start)
    with pytest.raises(WorkersError, match="die while they start"), make_runner(2) as run:
        list(run(work, [Item(n) for n in range(5)]))


def test_items_are_taken_as_places_become_free() -> None:
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield Item(n)

    with make_runner(2) as run:
        results = run(work, items(), depth=3)
        next(results)
        assert taken <= 7
        assert len(list(results)) == 99


def test_a_runner_serves_again_and_again() -> None:
    with make_runner(1) as run:
        pids = {result["pid"] for _ in range(3) for _, result, _ in run(environment, [Item(0)])}  # type: ignore[index]
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_workers_are_light_and_have_one_thread() -> None:
    with make_runner(2) as run:
        for _, found, error in run(environment, [Item(n) for n in range(4)]):
            assert error is None
            assert found is not None
            assert found["heavy"] == []
            assert set(found["threads"].values()) == {"1"}  # type: ignore[attr-defined]


def test_an_abandoned_run_leaves_a_working_pool() -> None:
    with make_runner(2) as run:
        results = run(work, [Item(n) for n in range(50)])
        next(results)
        results.close()  # type: ignore[attr-defined]
        assert len(list(run(work, [Item(n) for n in range(10)]))) == 10


SCRIPT = """
import sys
from tests.pipeline.crashing import Item, work
from vison_etl.pipeline.executors import make_runner
if __name__ == "__main__":
    with make_runner(2) as run:
        list(run(work, [Item(n, "slow", sys.argv[1]) for n in range(2)]))
"""


def start(script: Path, marks: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    marks.mkdir()
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, str(script), str(marks)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    for _ in range(300):
        workers = [int(path.name) for path in marks.iterdir()]
        if len(workers) == 2:
            return parent, workers
        time.sleep(0.1)
    parent.kill()
    raise AssertionError("workers did not start")


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z"
    except FileNotFoundError:
        return True


def test_workers_of_a_killed_parent_end_too(tmp_path: Path) -> None:
    parent, workers = start(tmp_path / "script.py", tmp_path / "marks")
    with parent:
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not all(map(gone, workers)):
            time.sleep(0.1)
    assert all(map(gone, workers))


def test_the_keyboard_ends_everything_at_once(tmp_path: Path) -> None:
    parent, workers = start(tmp_path / "script.py", tmp_path / "marks")
    with parent:
        os.killpg(parent.pid, signal.SIGINT)
        _, stderr = parent.communicate(timeout=5)
    assert all(map(gone, workers))
    assert stderr.count(b"KeyboardInterrupt") == 1
    assert parent.returncode != 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_ingest_gives_the_same_bytes_everywhere(tmp_path: Path, jobs: int) -> None:
    day = make_day(tmp_path / "day", list(range(95, 105)))
    serial, processes = Lake(tmp_path / "serial"), Lake(tmp_path / "processes")
    run_ingest(serial, day)
    run_ingest(processes, day, jobs=jobs)
    assert snapshot(serial) == snapshot(processes)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp"
    ) as made:
        yield made.scheduler_address


@pytest.mark.dask
def test_dask_gives_the_same_bytes(tmp_path: Path, cluster: str) -> None:
    day = make_day(tmp_path / "day", list(range(95, 100)))
    serial, distributed = Lake(tmp_path / "serial"), Lake(tmp_path / "dask")
    run_ingest(serial, day)
    with make_runner(scheduler=cluster) as run:
        report = ingest(distributed, [day], run=run, refresh=no_refresh)
    assert report.exit_code == 0
    assert snapshot(serial) == snapshot(distributed)
    assert contents(distributed)["exposures"].height == 15


@pytest.mark.dask
def test_dask_survives_accidents_and_gives_up_poison(tmp_path: Path, cluster: str) -> None:
    kinds = {3: "accident", 5: "poison", 7: "raises"}
    items = [Item(n, kinds.get(n, "good"), str(tmp_path)) for n in range(12)]
    with make_runner(scheduler=cluster) as run:
        found = {item.number: error or result for item, result, error in run(work, items)}
    assert {n: r for n, r in found.items() if n not in {5, 7}} == {n: 2 * n for n in range(12) if n not in {5, 7}}
    assert isinstance(found[5], WorkerDiedError)
    assert isinstance(found[7], ValueError)


@pytest.mark.dask
def test_dask_workers_are_checked_before_the_work(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from vison_etl.pipeline import worker_dask

    mine = worker_dask.software()
    for other, words in (
        (replace(mine, version="9.9"), "runs vison-etl .*, not 9.9"),
        (replace(mine, code="another"), "other code"),
        (replace(mine, python="2.7.18"), "runs Python"),
    ):
        monkeypatch.setattr(worker_dask, "_software_here", lambda other=other: other)
        with pytest.raises(WorkersError, match=words), make_runner(scheduler=cluster) as run:
            list(run(work, [Item(1)]))
    monkeypatch.undo()
    with (tmp_path / "x").open("wb") as file:
        mine_alone = f"/proc/self/fd/{os.dup2(file.fileno(), 700)}"
    with pytest.raises(WorkersError, match=f"cannot see {mine_alone}"), make_runner(scheduler=cluster) as run:
        list(run(work, [Item(1, marks=mine_alone)]))
    os.close(700)


@pytest.mark.dask
def test_dask_needs_workers_with_one_thread(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as made,
        pytest.raises(WorkersError, match="has 2 threads"),
        make_runner(scheduler=made.scheduler_address) as run,
    ):
        list(run(work, [Item(1)]))


CLUSTER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    made = LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0")
    print(made.scheduler_address, flush=True)
    time.sleep(100)
"""


@pytest.mark.dask
def test_a_scheduler_that_dies_ends_the_work(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        address = other.stdout.readline().strip()
        with make_runner(scheduler=address) as run:
            results = run(work, [Item(0), Item(1, "slow", str(tmp_path))])
            assert next(results)[1] == 0
            other.kill()
            with pytest.raises(WorkersError, match="lost the Dask scheduler"):
                list(results)


@pytest.mark.dask
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from vison_etl.pipeline import worker_dask

    monkeypatch.setattr(worker_dask, "_CONNECT_S", 1)
    with pytest.raises(WorkersError, match=r"tcp://127\.0\.0\.1:9 "), make_runner(scheduler="tcp://127.0.0.1:9") as run:
        list(run(work, [Item(1)]))


def test_a_poisonous_frame_costs_one_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vison_etl.pipeline import ingest as room

    day = make_day(tmp_path / "day", [1, 2])
    lake = Lake(tmp_path / "lake")
    monkeypatch.setattr(room, "_read_item", poisonous)
    report = run_ingest(lake, day, jobs=2)
    assert report.folders[0].added == 5
    assert reasons(lake) == {("log_row", "worker_died"): 1}
    before = snapshot(lake)
    assert run_ingest(lake, day, jobs=2).to_read == 0
    assert snapshot(lake) == before


def poisonous(item: object) -> object:
    from vison_etl.pipeline.worker import read_task

    task = item.task  # type: ignore[attr-defined]
    if task.path.endswith("CCD2.fits") and task.obsid == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return read_task(task)
