"""Where the frames of a test come from, and what is measured on them: its own acquisition, or those of other tests.

Whatever test wants a measurement, its rows live with the test and acquisition that have the frames, and its units are built as that
test builds them: its exclusions, its parameters, its products. So they have one key whoever asks, and are measured once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import TestDefinition, definition, test_names
from vison_etl.campaign.derived import sources_of as source_names
from vison_etl.effects.declare import Effect, Measurement
from vison_etl.effects.registry import load
from vison_etl.effects.registry import measurement as measurement_named
from vison_etl.lake.paths import Lake
from vison_etl.pipeline.block import BlockView
from vison_etl.pipeline.measure import Place, Work
from vison_etl.pipeline.products import choose_products, wanted_kinds
from vison_etl.pipeline.recipe import Settings, measurement_parameters
from vison_etl.pipeline.store import software_version
from vison_etl.pipeline.units import ProductRef, UnitTask, build_units


@dataclass(frozen=True, slots=True)
class Source:
    """Frames of one acquisition that a test analyses.

    Parameters
    ----------
    definition, acquisition
        The test that has the frames, and the row of ``acquisitions``.
    exposures
        Those that count, with ``acquisition, test, script_column``, sorted by obsid and ccd.
    measured
        Those that units are made of: ``exposures``, and what an exclusion leaves out of the analysing test alone. Units that hold such
        a frame are left out whole.
    products
        Products of other runs that measurements on them take.
    """

    definition: TestDefinition
    acquisition: Mapping[str, Any]
    exposures: pl.DataFrame
    measured: pl.DataFrame
    products: tuple[ProductRef, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the acquisition."""
        return str(self.acquisition["acquisition"])

    @property
    def place(self) -> Place:
        """Return where measurements on its frames live."""
        return Place(str(self.acquisition["block"]), self.definition.name, self.name)

    @property
    def span(self) -> tuple[int, int]:
        """Return the first and last exposure used."""
        obsids = self.exposures.get_column("obsid")
        return obsids[0], obsids[-1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A measurement that a test wants, its owner, and whether the test feeds that."""

    owner: Effect
    measurement: Measurement
    is_own: bool

    @property
    def name(self) -> str:
        """Return ``effect.measurement``."""
        return f"{self.owner.name}.{self.measurement.name}"


def wanted_measurements(effects: Sequence[Effect]) -> tuple[Wanted, ...]:
    """Return the measurements of effects, then those that they use of others, each once."""
    found = {(e.name, m.name): Wanted(e, m, is_own=True) for e in effects for m in e.measurements}
    for owner, measurement in (measurement_named(use) for effect in effects for use in effect.uses):
        found.setdefault((owner.name, measurement.name), Wanted(owner, measurement, is_own=False))
    return tuple(found.values())


def kinds_wanted(effects: Sequence[Effect]) -> tuple[str, ...]:
    """Return the kinds of products that measurements of a test want, sorted."""
    return wanted_kinds(one.measurement for one in wanted_measurements(effects))


def find_sources(
    lake: Lake,
    view: BlockView,
    acquisition: Mapping[str, Any],
    effects: Sequence[Effect],
    chosen: Mapping[str, str],
    obsids: tuple[int, int] | None = None,
) -> tuple[tuple[Source, ...], list[tuple[Any, ...]]]:
    """Return the sources of an acquisition that have exposures left, and the exclusions that touch any of them.

    Parameters
    ----------
    effects
        Those of its test.
    chosen
        Kind of product to run id or path, from ``--set``.
    obsids
        Only exposures from the first to the second.

    Raises
    ------
    InputError
        As ``choose_products``.
    """
    sources: list[Source] = []
    excluded: list[tuple[Any, ...]] = []
    kinds = kinds_wanted(effects)
    overrides = view.overrides_for(acquisition)
    for name in source_names(acquisition):
        measured, touching = view.frames_of(name)
        exposures, more = view.frames_of(name, overrides)
        excluded += [*touching, *more]
        if obsids is not None:
            measured, exposures = (f.filter(pl.col("obsid").is_between(*obsids)) for f in (measured, exposures))
        row = view.acquisition(name)
        if row is not None and not exposures.is_empty():
            known = definition(row["test"])
            products = choose_products(lake, view, known.name, kinds, chosen, measured)
            sources.append(Source(known, row, exposures, measured, products))
    return tuple(sources), list(dict.fromkeys(excluded))


def work_on(effects: Sequence[Effect], sources: Sequence[Source], settings: Settings) -> list[Work]:
    """Return every measurement that a test wants on every source, with its units."""
    return [
        Work(source.place, one.measurement, _units(one, source, settings), is_own=one.is_own)
        for source in sources
        for one in wanted_measurements(effects)
    ]


def _units(one: Wanted, source: Source, settings: Settings) -> tuple[UnitTask, ...]:
    parameters = measurement_parameters(one.owner, one.measurement, source.definition, settings)
    cards, name = provenance(source.place.block, source.definition, source.acquisition), one.owner.name
    tasks = build_units(name, one.measurement, parameters, source.measured, cards, source.products)
    if source.exposures.height == source.measured.height:
        return tuple(tasks)
    left = set(source.exposures.select("obsid", "ccd").rows())
    return tuple(task for task in tasks if all((frame.obsid, frame.ccd) in left for frame in task.frames))


def provenance(block: str, test: TestDefinition, acquisition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cards that say where a product comes from."""
    return {
        "BLOCKID": block,
        "TEST": test.name,
        "ACQUISIT": acquisition["acquisition"],
        "CHAMBER": acquisition["chamber"],
        "WAVEL": test.label_nm,
        "SOFTWARE": f"vison-etl {software_version()}",
    }


def claimed_keys(lake: Lake, view: BlockView, place: Place) -> frozenset[str]:
    """Return the keys of all units at a place that any test wants, as shipped: rows of other keys are of no use any more."""
    keys: set[str] = set()
    for acquisition in _users(view, place.acquisition):
        effects = tuple(load(name) for name, _ in definition(acquisition["test"]).effects)
        sources, _ = find_sources(lake, view, acquisition, effects, {})
        here = [source for source in sources if source.name == place.acquisition]
        keys |= {key for work in work_on(effects, here, Settings()) for key in work.keys}
    return frozenset(keys)


def _users(view: BlockView, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the acquisitions that have the exposures of one."""
    known = set(test_names())
    for row in view.acquisitions.iter_rows(named=True):
        if row["test"] in known and name in source_names(row):
            yield row
