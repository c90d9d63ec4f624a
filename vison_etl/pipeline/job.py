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
from vison_etl.pipeline.measure import Place
from vison_etl.pipeline.products import choose_products, source_names, wanted_kinds
from vison_etl.pipeline.recipe import Settings, differences, inputs_of, parse_settings, recipe_of
from vison_etl.pipeline.selection import gain_candidates
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
    products: tuple[ProductRef, ...]
    recipe: Mapping[str, Any]
    read_from: Mapping[str, Any]
    is_trial: bool

    @property
    def span(self) -> tuple[int, int]:
        """Return the first and last exposure used."""
        obsids = self.exposures.get_column("obsid")
        return obsids[0], obsids[-1]

    @property
    def place(self) -> Place:
        """Return where its measurements live."""
        return Place(self.view.block, self.definition.name, str(self.acquisition["acquisition"]))


def prepare(lake: Lake, view: BlockView, test: str, options: Options) -> Job | Outcome:
    """Choose acquisition, frames, recipe and inputs of one test, or say why it cannot be analysed."""
    acquisition = view.adopted(test)
    if acquisition is None:
        return Outcome(view.block, test, "skipped", ("no acquisition of this test in the block",))
    exposures, excluded = view.frames_of(str(acquisition["acquisition"]))
    if options.obsids is not None:
        exposures = exposures.filter(pl.col("obsid").is_between(*options.obsids))
    elif acquisition["status"] != "complete" and not options.partial:
        found = f"{acquisition['n_found']} of {acquisition['n_expected']} exposures; analyse with --partial"
        return Outcome(view.block, test, "partial", (f"acquisition {acquisition['status']}: {found}",))
    if exposures.is_empty():
        return Outcome(view.block, test, "skipped", ("no exposure left after --obsids and exclusions",))
    wanted = definition(test)
    effects = tuple(load(name) for name, _ in wanted.effects)
    kinds = wanted_kinds(effects)
    settings = parse_settings(options.settings, effects, KINDS + kinds)
    needs = outside_needs(effects)
    inputs = gain_candidates(lake, view, needs, settings.inputs, exposures)
    products = choose_products(lake, view, test, kinds, settings.inputs, exposures)
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
        products=products,
        recipe=recipe_of(wanted, effects, settings, checks_digest()),
        read_from=inputs_of(exposures, excluded, {**inputs.sources, **source_names(kinds, products)}),
        is_trial=not settings.is_empty or options.obsids is not None,
    )


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
