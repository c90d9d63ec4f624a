"""The effects' charts, found by name: every effect folder with a ``charts.py`` takes part."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import polars as pl

from vison_etl import effects
from vison_etl.effects.figure import Figure


@cache
def chart_modules() -> tuple[ModuleType, ...]:
    """Return the ``charts`` modules of all effects, by name of the effect.

    Each has ``TITLE`` (headline), ``TABLES`` (what it draws from) and ``charts(tables) -> list[Figure]``.
    """
    names = [f"{effects.__name__}.{info.name}.charts" for info in pkgutil.iter_modules(effects.__path__) if info.ispkg]
    return tuple(importlib.import_module(name) for name in names if find_spec(name) is not None)


@cache
def wanted_tables() -> frozenset[str]:
    """Return the tables that any effect draws from."""
    return frozenset(name for module in chart_modules() for name in module.TABLES)


def effect_figures(
    tables: Mapping[str, pl.DataFrame], first: Sequence[str] = ()
) -> list[tuple[str, str, list[Figure]]]:
    """Return (effect, headline, figures) of every effect that finds something to draw; those of ``first`` lead."""
    rank = {name: index for index, name in enumerate(first)}
    named = sorted(((m.__name__.split(".")[-2], m) for m in chart_modules()), key=lambda x: rank.get(x[0], len(rank)))
    drawn = [(name, str(module.TITLE), module.charts(tables)) for name, module in named]
    return [item for item in drawn if item[2]]
