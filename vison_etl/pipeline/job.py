"""What an analysis is made of, chosen before any work: acquisition, frames, recipe and inputs; and whether its result is stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from vison_etl.campaign.checks import checks_digest
from vison_etl.campaign.definitions import TestDefinition, definition
from vison_etl.effects.declare import Effect
from vison_etl.effects.registry import load
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.inputs import KINDS, Inputs
from vison_etl.pipeline.products import source_names
from vison_etl.pipeline.recipe import Settings, differences, inputs_of, parse_settings, recipe_of
from vison_etl.pipeline.selection import gain_candidates
from vison_etl.pipeline.sources import Source, find_sources, kinds_wanted
from vison_etl.pipeline.units import ProductRef

Action = Literal["stored", "up_to_date", "failed", "partial", "skipped", "planned"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for beyond block and test."""

    obsids: tuple[int, int] | None = None
    partial: bool = False
    force: bool = False
    settings: tuple[str, ...] = ()
    dry_run: bool = False
    argv: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test of one block, and why."""

    block: str
    test: str
    action: Action
    reasons: tuple[str, ...] = ()
    run_id: str | None = None
    flags: tuple[str, ...] = ()
    n_measured: int = 0
    n_kept: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One test of one block with everything chosen that decides its numbers."""

    view: BlockView
    definition: TestDefinition
    acquisition: Mapping[str, Any]
    exposures: pl.DataFrame
    excluded: tuple[tuple[Any, ...], ...]
    effects: tuple[Effect, ...]
    settings: Settings
    inputs: Inputs
    kinds: tuple[str, ...]
    sources: tuple[Source, ...]
    overrides: pl.DataFrame
    recipe: Mapping[str, Any]
    read_from: Mapping[str, Any]
    is_trial: bool

    @property
    def products(self) -> tuple[ProductRef, ...]:
        """Return the products of other runs that its measurements take, each once."""
        return tuple(dict.fromkeys(product for source in self.sources for product in source.products))


def prepare(lake: Lake, view: BlockView, test: str, options: Options) -> Job | Outcome:
    """Choose acquisition, frames, recipe and inputs of one test, or say why it cannot be analysed."""
    wanted = definition(test)
    acquisition = view.adopted(test)
    if acquisition is None:
        return Outcome(view.block, test, "skipped", (_not_acquired(view, wanted),))
    if not wanted.has_frames and not wanted.effects:
        return Outcome(view.block, test, "skipped", (f"nothing is analysed on the frames of {_listed(wanted)} for it",))
    effects = tuple(load(name) for name, _ in wanted.effects)
    kinds = kinds_wanted(effects)
    settings = parse_settings(options.settings, effects, KINDS + kinds)
    if options.obsids is None and acquisition["status"] != "complete" and not options.partial:
        found = f"{acquisition['n_found']} of {acquisition['n_expected']} exposures; analyse with --partial"
        return Outcome(view.block, test, "partial", (f"acquisition {acquisition['status']}: {found}",))
    sources, excluded = find_sources(lake, view, acquisition, effects, settings.inputs, options.obsids)
    if not sources:
        return Outcome(view.block, test, "skipped", ("no exposure left after --obsids and exclusions",))
    exposures = pl.concat([source.exposures for source in sources]).sort("obsid", "ccd")
    inputs = gain_candidates(lake, view, outside_needs(effects), settings.inputs, exposures)
    products = [product for source in sources for product in source.products]
    read_from = inputs_of(exposures, excluded, {**inputs.sources, **source_names(kinds, products)})
    if not wanted.has_frames:
        read_from["acquisitions"] = [source.name for source in sources]
    return Job(
        view=view,
        definition=wanted,
        acquisition=acquisition,
        exposures=exposures,
        excluded=tuple(excluded),
        effects=effects,
        settings=settings,
        inputs=inputs,
        kinds=kinds,
        sources=sources,
        overrides=view.overrides_for(acquisition),
        recipe=recipe_of(wanted, effects, settings, checks_digest()),
        read_from=read_from,
        is_trial=not settings.is_empty or options.obsids is not None,
    )


def _not_acquired(view: BlockView, wanted: TestDefinition) -> str:
    missing = [name for name in wanted.frames_of if view.adopted(name) is None]
    if wanted.has_frames or not missing:
        return "no acquisition of this test in the block"
    return f"uses the frames of {_listed(wanted)}; the block has no acquisition of {', '.join(missing)}"


def _listed(wanted: TestDefinition) -> str:
    return ", ".join(wanted.frames_of)


def outside_needs(effects: Sequence[Effect]) -> tuple[str, ...]:
    """Return what the effects of a test want from other runs: what no effect before them in the same run gives."""
    given: set[str] = set()
    wanted: set[str] = set()
    for effect in effects:
        wanted |= set(effect.needs) - given
        given |= set(effect.tables)
    return tuple(sorted(wanted))


def latest_run(lake: Lake, job: Job) -> Mapping[str, Any] | None:
    """Return the newest run of the job's acquisition that did not fail and is as much a trial as the job."""
    mine = [
        run
        for run in list_runs(lake)
        if run["acquisition"] == job.acquisition["acquisition"] and run["is_trial"] == job.is_trial
    ]
    return max(mine, key=lambda run: (str(run["started_at"]), str(run["run_id"])), default=None)


def stale_reasons(job: Job, last: Mapping[str, Any] | None) -> list[str]:
    """Return why the job's result is missing or stale; empty when it is up to date."""
    if last is None:
        return ["never analysed"]
    reasons = ["the last run failed"] if last["status"] == "failed" else []
    reasons += [f"recipe changed: {line}" for line in differences(last.get("recipe", {}), job.recipe)]
    reasons += [f"inputs changed: {line}" for line in differences(last.get("inputs", {}), job.read_from)]
    return reasons
