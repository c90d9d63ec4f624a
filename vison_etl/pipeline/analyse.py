"""Lake to results: select, match, check, measure, calibrate, store, for one test of one block at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from vison_etl.campaign.checks import check
from vison_etl.campaign.overrides import exclude_channels
from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Flag, Product
from vison_etl.lake.parts import partition_filters, read
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import new_run_id, write_run
from vison_etl.pipeline import store
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.calibrated_products import write_products
from vison_etl.pipeline.digest import digest_of
from vison_etl.pipeline.executors import Runner
from vison_etl.pipeline.inputs import adopted_rows
from vison_etl.pipeline.job import Job, Options, Outcome, latest_run, prepare, stale_reasons
from vison_etl.pipeline.measure import Measured, Progress, measure
from vison_etl.pipeline.products import input_rows
from vison_etl.pipeline.recipe import effect_parameters
from vison_etl.pipeline.sources import claimed_keys, provenance, work_on


@dataclass(slots=True)
class _Worked:
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    failed: bool = False


def analyse(lake: Lake, view: BlockView, test: str, options: Options, run: Runner, progress: Progress) -> Outcome:
    """Analyse one test of one block and store its run.

    Raises
    ------
    UnknownParameterError, InputError
        For a ``--set`` that cannot be followed.
    """
    started = time.perf_counter()
    job = prepare(lake, view, test, options)
    if isinstance(job, Outcome):
        return job
    reasons = _why(lake, job, options)
    if not reasons:
        return Outcome(view.block, test, "up_to_date", seconds=time.perf_counter() - started)
    if options.dry_run:
        return Outcome(view.block, test, "planned", tuple(reasons))
    stamp = store.now_utc()
    work = work_on(job.effects, job.sources, job.settings)
    claimed = partial(claimed_keys, lake, view)
    measured = measure(lake, work, run, claimed=claimed, store=not job.is_trial, progress=progress)
    worked = _calibrate(lake, job, measured)
    _check(lake, job, worked)
    record = _record(job, worked, options.argv)
    record |= {"started_at": stamp.isoformat(), "seconds": time.perf_counter() - started}
    products = [*measured.products, *_made(lake, job, worked)]
    write_run(lake, record, _result_tables(job, worked, measured, products, record["run_id"]))
    return Outcome(
        view.block,
        test,
        "failed" if worked.failed else "stored",
        tuple(reasons),
        record["run_id"],
        tuple(record["flags"].split(",")) if record["flags"] else (),
        measured.n_done,
        measured.n_kept,
        time.perf_counter() - started,
    )


def _why(lake: Lake, job: Job, options: Options) -> list[str]:
    return ["--force"] if options.force else stale_reasons(job, latest_run(lake, job))


def _calibrate(lake: Lake, job: Job, measured: Measured) -> _Worked:
    worked = _Worked()
    if measured.failures:
        label, reason = measured.failures[0]
        worked.flags.append(Flag("SUBTASKCRASH", len(measured.failures), f"{label}: {reason}"))
    statistics = _statistics(lake, job)
    for effect in job.effects:
        given = CalibrationInput(
            test=job.definition.name,
            wavelength_nm=job.definition.label_nm,
            parameters=effect_parameters(effect, job.definition, job.settings),
            exposures=job.exposures,
            statistics=statistics,
            measured={name: _left(table, job) for name, table in measured.tables.items()},
            gain=_gain_for(effect, job, worked),
        )
        try:
            result: Calibrated = effect.calibrate(given)
        except Exception as error:  # noqa: BLE001 - one effect that fails must not take the others with it
            worked.flags.append(Flag("SUBTASKCRASH", 1, f"{effect.name}: {type(error).__name__}: {error}"))
            worked.failed = True
            continue
        worked.tables |= result.tables
        worked.flags += result.flags
        worked.products += result.products
    return worked


def _left(table: pl.DataFrame, job: Job) -> pl.DataFrame:
    """Return the rows of a measurement table without excluded channels, source by source."""
    return pl.concat(
        [
            exclude_channels(table.filter(pl.col("acquisition") == source.name), job.overrides, source.span)
            for source in job.sources
        ]
    )


def _gain_for(effect: Effect, job: Job, worked: _Worked) -> pl.DataFrame | None:
    if "gain" not in effect.needs:
        return None
    return adopted_rows(worked.tables["gain"]) if "gain" in worked.tables else job.inputs.gain


def _statistics(lake: Lake, job: Job) -> pl.DataFrame:
    days = job.exposures.get_column("day").unique().to_list()
    rows = read(lake, "quadrant_stats", **partition_filters(block=job.view.block, day=days))
    named = job.exposures.select("obsid", "ccd", "test", "acquisition", "wavelength_nm")
    mine = rows.join(named, on=["obsid", "ccd"], how="inner")
    left = exclude_channels(mine, job.overrides).drop("acquisition")
    return left.sort("obsid", "ccd", "quadrant", "region")


def _check(lake: Lake, job: Job, worked: _Worked) -> None:
    days = job.exposures.get_column("day").unique().to_list()
    hk = read(lake, "hk_summary", **partition_filters(block=job.view.block, day=days)).join(
        job.exposures.select("obsid").unique(), on="obsid", how="semi"
    )
    extra = job.view.extra_of(str(job.acquisition["acquisition"]))
    statistics = _statistics(lake, job)
    compliance, flags = check(job.definition, job.exposures, statistics, hk, job.acquisition, worked.tables, extra)
    worked.tables["compliance"] = compliance
    worked.flags += [Flag(raised.name, raised.n, raised.detail) for raised in flags]


def _record(job: Job, worked: _Worked, argv: str) -> dict[str, Any]:
    names = store.flag_table(worked.flags).get_column("flag").to_list()
    return {
        "run_id": new_run_id(),
        "block": job.view.block,
        "test": job.definition.name,
        "acquisition": job.acquisition["acquisition"],
        "obsid_first": job.acquisition["obsid_first"],
        "obsid_last": job.acquisition["obsid_last"],
        "status": "failed" if worked.failed else "flagged" if names else "ok",
        "is_trial": job.is_trial,
        "flags": ",".join(names),
        "software_version": store.software_version(),
        "git_commit": store.git_commit(),
        "recipe_hash": digest_of(job.recipe),
        "inputs_hash": digest_of(job.read_from),
        "argv": argv,
        "recipe": job.recipe,
        "inputs": job.read_from,
        **store.who_and_where(),
    }


def _made(lake: Lake, job: Job, worked: _Worked) -> list[dict[str, str]]:
    """Write the products of the calibrations and return their rows."""
    block, test, acquisition = job.view.block, job.definition.name, str(job.acquisition["acquisition"])
    cards = provenance(block, job.definition, job.acquisition)
    obsids = job.exposures.get_column("obsid")
    cards |= {"OBSFIRST": obsids[0], "OBSLAST": obsids[-1]}
    return list(write_products(lake, block, test, acquisition, worked.products, cards))


def _result_tables(
    job: Job, worked: _Worked, measured: Measured, products: Sequence[Mapping[str, str]], run_id: str
) -> dict[str, pl.DataFrame]:
    keys = {
        "run_id": run_id,
        "block": job.view.block,
        "test": job.definition.name,
        "acquisition": str(job.acquisition["acquisition"]),
    }
    frames = dict(worked.tables)
    frames["flags"] = store.flag_table(worked.flags)
    frames["products"] = pl.DataFrame(
        products, schema={"kind": pl.String, "ccd": pl.String, "path": pl.String, "digest": pl.String}
    )
    tables = {name: store.conform(name, frame, keys) for name, frame in frames.items()}
    tables["run_inputs"] = store.conform("run_inputs", _run_inputs(job, measured), keys)
    return tables


def _run_inputs(job: Job, measured: Measured) -> pl.DataFrame:
    rows = [
        {"kind": "measurement", "name": name, "source_run_id": None, "digest": digest_of(sorted(set(t["unit_key"])))}
        for name, t in measured.tables.items()
    ]
    rows.append({"kind": "exposures", "name": "frames", "source_run_id": None, "digest": job.read_from["frames"]})
    rows += [
        {"kind": "acquisition", "name": name, "source_run_id": None, "digest": None}
        for name in job.read_from.get("acquisitions", ())
    ]
    content = None if job.inputs.gain is None else digest_of(job.inputs.gain.rows())
    for kind, sources in job.inputs.sources.items():
        rows += [{"kind": kind, "name": run_id, "source_run_id": run_id, "digest": content} for run_id in sources]
        if not sources:
            rows.append({"kind": kind, "name": "none", "source_run_id": None, "digest": None})
    rows += input_rows(job.kinds, job.products)
    if job.excluded:
        excluded = digest_of(sorted(map(str, job.excluded)))
        rows.append({"kind": "overrides", "name": "exclude", "source_run_id": None, "digest": excluded})
    text = dict.fromkeys(("kind", "name", "source_run_id", "digest"), pl.String)
    return pl.DataFrame(rows, schema=text)
