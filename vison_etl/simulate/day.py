"""Simulated day folders: exposure log, housekeeping, frames, and the truth beside them."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import repeat
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from vison_etl.campaign.commands import DEFAULT
from vison_etl.campaign.definitions import definition
from vison_etl.campaign.handles import in_campaign_order
from vison_etl.elvis.explog import write_log
from vison_etl.instrument.geometry import Geometry, geometry_of
from vison_etl.one_thread import one_thread_environment
from vison_etl.simulate.bench import Bench, write_exposures
from vison_etl.simulate.exposure import CCDS, Exposure
from vison_etl.simulate.faults import Fault, as_faults, damage_log, damage_row
from vison_etl.simulate.plan import DayPlan, known_block, plan_day
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.settings import SimulationError, settings
from vison_etl.simulate.truth import EXPOSURES, TRUTH_FOLDER, merge_truth, read_truth, truth_tables
from vison_etl.simulate.unsteady import planned_exposures

_CHUNK = 4
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """What was written.

    Parameters
    ----------
    folder
        Day folder.
    truth
        Folder of the truth tables, beside it.
    acquisitions
        Acquisitions in order, ``BLOCK/TEST/<first obsid>``.
    n_frames
        Frames written, three per exposure (files that a fault removed included).
    """

    folder: Path
    truth: Path
    block: str
    chamber: str
    obsid_first: int
    obsid_last: int
    acquisitions: tuple[str, ...]
    n_exposures: int
    n_frames: int


def day_folder_name(day: datetime) -> str:
    """Return the name of a day folder, as ``12_Mar_19``."""
    return f"{day:%d}_{_MONTHS[day.month - 1]}_{day:%y}"


def geometry_of_size(size: str) -> Geometry:
    """Return the frame geometry of a size word; ``SimulationError`` names the known ones."""
    known = settings()["size"]
    if size not in known:
        raise SimulationError(f"no frame size {size!r}: one of {', '.join(known)}")
    return geometry_of(known[size]["naxis1"], known[size]["naxis2"])


def _free_start(out: Path) -> datetime:
    """Return the start of the first day, from the usual one on, that has no folder yet."""
    start: datetime = settings()["time"]["start"]
    while (out / day_folder_name(start)).exists():
        start += timedelta(days=1)
    return start


def _next_obsid(out: Path, block: str) -> int:
    """Return an obsid that this block does not have in the folder yet."""
    usual = int(settings()["time"]["first_obsid"])
    known = read_truth(out, EXPOSURES)
    if known is None:
        return usual
    used = known.filter(known["block"] == block)["obsid"].max()
    return usual if used is None else int(str(used)) + 1


def _write_day_log(folder: Path, start: datetime, exposures: Sequence[Exposure], faults: Sequence[Fault]) -> None:
    path = folder / f"EXP_LOG_{start:%d%m%y}.txt"
    rows = [(exposure, ccd) for exposure in exposures for ccd in CCDS]
    hit = [[fault for fault in faults if fault.hits(exposure.obsid, ccd)] for exposure, ccd in rows]
    version = str(settings()["log"]["version"])
    write_log(path, version, [damage_row(e.log_row(ccd), found) for (e, ccd), found in zip(rows, hit, strict=True)])
    if faults:
        damage_log(path, dict(enumerate(hit)))


def _write_all(bench: Bench, exposures: Sequence[Exposure], jobs: int) -> Iterator[int]:
    """Write all exposures; yield how many more are done."""
    chunks = [exposures[i : i + _CHUNK] for i in range(0, len(exposures), _CHUNK)]
    if jobs == 1:
        yield from (write_exposures(bench, chunk) for chunk in chunks)
        return
    context = multiprocessing.get_context("forkserver")
    with one_thread_environment():
        forkserver.ensure_running()
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(write_exposures, repeat(bench), chunks)


def _new_folder(folder: Path) -> Path:
    """Return an empty folder beside ``folder``, which must not exist, to be renamed when all is in it."""
    if folder.exists():
        raise SimulationError(f"{folder} exists: choose another start or another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _write_day(
    out: Path,
    plan: DayPlan,
    exposures: Sequence[Exposure],
    geometry: Geometry,
    options: Options,
    faults: Iterable[Fault | Mapping[str, Any]],
    jobs: int,
    progress: Callable[[int], object] | None,
) -> SimulatedDay:
    broken = as_faults(faults, [exposure.obsid for exposure in exposures])
    start = exposures[0].started_at
    folder = out / day_folder_name(start)
    partial = _new_folder(folder)
    bench = Bench(partial, plan.block, plan.seed, geometry, options, broken)
    for done in _write_all(bench, exposures, jobs):
        if progress is not None:
            progress(done)
    _write_day_log(partial, start, exposures, broken)
    merge_truth(out, truth_tables(bench, exposures))
    partial.rename(folder)
    return SimulatedDay(
        folder=folder,
        truth=out / TRUTH_FOLDER,
        block=plan.block,
        chamber=plan.chamber,
        obsid_first=exposures[0].obsid,
        obsid_last=exposures[-1].obsid,
        acquisitions=tuple(dict.fromkeys(exposure.acquisition for exposure in exposures)),
        n_exposures=len(exposures),
        n_frames=len(exposures) * len(CCDS),
    )


def simulate_day(
    out: str | Path,
    block: str,
    tests: Sequence[str],
    *,
    campaign: str = "Full",
    variant: str = DEFAULT,
    chamber: str | None = None,
    size: str = "small",
    seed: int = 0,
    start: datetime | None = None,
    first_obsid: int | None = None,
    jobs: int = 1,
    options: Options | None = None,
    faults: Iterable[Fault | Mapping[str, Any]] = (),
    progress: Callable[[int], object] | None = None,
) -> SimulatedDay:
    """Simulate a day on the bench: some tests of one block, in the order given.

    Parameters
    ----------
    out
        Folder that gets the day folder and the folder of the truth; made if it is missing.
    block
        Nickname; blocks with known serials are recognised by ingest.
    tests
        Names, also several times.
    chamber
        Profile; None takes the block's own.
    size
        ``small`` (quadrants of 256 x 256 image pixels) or ``full``.
    seed
        All random choices follow from it; the hardware from (seed, block) alone.
    start
        Start of the first exposure, without zone; None takes 8 h of the first day from 12 March 2019 that ``out`` does not have.
    first_obsid
        None takes 17001, or the next one if ``out`` has exposures of this block.
    jobs
        Processes; the files are the same to the bit with any number.
    faults
        What to break.
    progress
        Called with the number of exposures that have been written since the last call.

    Raises
    ------
    SimulationError
        For what is unknown, cannot be simulated, or would overwrite a day that exists.
    """
    if jobs < 1:
        raise SimulationError(f"{jobs} jobs: at least one")
    out = Path(out)
    known_block(block)
    plan = plan_day(
        block,
        tests,
        _free_start(out) if start is None else start,
        _next_obsid(out, block) if first_obsid is None else first_obsid,
        campaign=campaign,
        variant=variant,
        chamber=chamber,
        seed=seed,
    )
    exposures = planned_exposures(plan, options)
    return _write_day(out, plan, exposures, geometry_of_size(size), options or Options(), faults, jobs, progress)


def _by_day(exposures: Sequence[Exposure]) -> list[list[Exposure]]:
    """Share exposures out over day folders: an acquisition belongs to the day on which it begins."""
    days: dict[date, list[Exposure]] = {}
    begun: dict[str, date] = {}
    for exposure in exposures:
        day = begun.setdefault(exposure.acquisition, exposure.started_at.date())
        days.setdefault(day, []).append(exposure)
    return list(days.values())


def commanded_tests(campaign: str) -> tuple[str, ...]:
    """Return the tests of a campaign that scripts command, in the order in which they are acquired."""
    return tuple(one.test for one in in_campaign_order(campaign) if definition(one.test).is_commanded)


def simulate_campaign(
    out: str | Path,
    block: str,
    *,
    tests: Sequence[str] | None = None,
    campaign: str = "Full",
    variant: str = DEFAULT,
    chamber: str | None = None,
    size: str = "small",
    seed: int = 0,
    start: datetime | None = None,
    first_obsid: int | None = None,
    jobs: int = 1,
    options: Options | None = None,
    faults: Iterable[Fault | Mapping[str, Any]] = (),
    progress: Callable[[int], object] | None = None,
) -> tuple[SimulatedDay, ...]:
    """Simulate a block through a campaign: its tests one after the other, day and night, with one numbering of exposures.

    As on the bench there is a folder for every day, with one exposure log; a test that runs over midnight stays in the folder of
    the day on which it began.

    Parameters
    ----------
    tests
        Names in order; None takes all tests of the campaign that scripts command.

    Other parameters are those of ``simulate_day``. If writing fails, the days already complete stay.

    Raises
    ------
    SimulationError
        As ``simulate_day``, before anything is written.
    """
    if jobs < 1:
        raise SimulationError(f"{jobs} jobs: at least one")
    out, geometry = Path(out), geometry_of_size(size)
    known_block(block)
    plan = plan_day(
        block,
        commanded_tests(campaign) if tests is None else tests,
        _free_start(out) if start is None else start,
        _next_obsid(out, block) if first_obsid is None else first_obsid,
        campaign=campaign,
        variant=variant,
        chamber=chamber,
        seed=seed,
    )
    days = _by_day(planned_exposures(plan, options))
    taken = [folder for folder in (out / day_folder_name(day[0].started_at) for day in days) if folder.exists()]
    if taken:
        raise SimulationError(f"{taken[0]} exists: choose another start or another folder")
    broken = as_faults(faults, [exposure.obsid for day in days for exposure in day])
    written = []
    for day in days:
        of_day = [fault for fault in broken if day[0].obsid <= fault.obsid <= day[-1].obsid]
        written.append(_write_day(out, plan, day, geometry, options or Options(), of_day, jobs, progress))
    return tuple(written)
