"""What a run was made of: the recipe (definition, parameters, versions) and the inputs (exposures, overrides, products).

Both are plain JSON objects kept in ``run.json`` so that a later run can say *what* is stale, not only that it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from vison_etl.campaign.definitions import TestDefinition
from vison_etl.campaign.definitions import definition as definition_of
from vison_etl.effects.declare import Effect, Measurement, Parameters
from vison_etl.effects.registry import measurement
from vison_etl.pipeline.digest import digest_of

Value = float | int | str | bool


class UnknownParameterError(ValueError):
    """A ``--set`` key that no effect of the test has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``--set KEY=VALUE`` asked for: parameters by effect or measurement name, and inputs by kind."""

    parameters: Mapping[str, Parameters] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was set."""
        return not self.parameters and not self.inputs


def parse_settings(pairs: Sequence[str], effects: Sequence[Effect], input_kinds: Sequence[str]) -> Settings:
    """Turn ``KEY=VALUE`` texts into settings; the value takes the type of the default it replaces.

    ``KEY`` is ``effect.parameter``, ``measurement.parameter``, or a bare parameter where only one effect has it, or a kind of
    input (``gain``, ``mask`` ...).

    Raises
    ------
    UnknownParameterError
        For a key that nothing has; the message names what exists.
    """
    known = _known_parameters(effects)
    chosen: dict[str, dict[str, float | int | str | bool]] = {}
    inputs: dict[str, str] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise UnknownParameterError(f"--set {pair}: write KEY=VALUE")
        if key in input_kinds:
            inputs[key] = text
            continue
        owners = [(o, n) for (o, n) in known if key in (f"{o}.{n}", n)]
        if len(owners) != 1:
            names = ", ".join(f"{o}.{n}" for o, n in sorted(known))
            what = "belongs to several effects" if owners else "is unknown"
            raise UnknownParameterError(
                f"--set {key}: this key {what}; known: {names or 'none'}; inputs: {', '.join(input_kinds)}"
            )
        owner, name = owners[0]
        chosen.setdefault(owner, {})[name] = _like(known[owner, name], text, key)
    return Settings(chosen, inputs)


def _known_parameters(effects: Sequence[Effect]) -> dict[tuple[str, str], float | int | str | bool]:
    known: dict[tuple[str, str], float | int | str | bool] = {}
    for effect in effects:
        known |= {(effect.name, name): value for name, value in effect.parameters.items()}
        for measured in (*effect.measurements, *(measurement(use)[1] for use in effect.uses)):
            known |= {(measured.name, name): value for name, value in measured.parameters.items()}
    return known


def _like(default: Value, text: str, key: str) -> Value:
    if isinstance(default, bool):
        known = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in known:
            raise UnknownParameterError(f"--set {key}={text}: wanted true or false")
        return known[text.lower()]
    try:
        value = type(default)(text)
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise UnknownParameterError(f"--set {key}={text}: wanted a {type(default).__name__}")
    return value


def effect_parameters(effect: Effect, definition: TestDefinition, settings: Settings) -> Parameters:
    """Return the parameters of an effect: its defaults, the test's, then what was set."""
    return {
        **effect.parameters,
        **_of_test(effect, definition, effect.parameters),
        **settings.parameters.get(effect.name, {}),
    }


def measurement_parameters(
    effect: Effect, measured: Measurement, definition: TestDefinition, settings: Settings
) -> Parameters:
    """Return the parameters of a measurement: its defaults, those of the test that has the frames, then what was set."""
    return {
        **measured.parameters,
        **_of_test(effect, definition, measured.parameters),
        **settings.parameters.get(measured.name, {}),
    }


def _of_test(effect: Effect, definition: TestDefinition, known: Parameters) -> Parameters:
    given = dict(definition.effects).get(effect.name, {})
    return {name: value for name, value in given.items() if name in known}


def recipe_of(
    definition: TestDefinition, effects: Sequence[Effect], settings: Settings, checks_digest: str
) -> dict[str, Any]:
    """Return everything but the data that decides the numbers of a run."""
    return {
        "definition": definition.digest,
        "checks": checks_digest,
        "settings": {"parameters": settings.parameters, "inputs": settings.inputs},
        "effects": {effect.name: _recipe_of_effect(effect, definition, settings) for effect in effects},
    }


def _recipe_of_effect(effect: Effect, definition: TestDefinition, settings: Settings) -> dict[str, Any]:
    used = {use: _recipe_of_measurement(*measurement(use), definition, settings) for use in effect.uses}
    return {
        "version": effect.version,
        "parameters": effect_parameters(effect, definition, settings),
        "measurements": {m.name: _recipe_of_measurement(effect, m, definition, settings) for m in effect.measurements},
        **({"uses": used} if used else {}),
    }


def _recipe_of_measurement(
    owner: Effect, measured: Measurement, definition: TestDefinition, settings: Settings
) -> dict[str, Any]:
    """Return version and parameters, those of each source where there are several."""
    sources = (definition,) if definition.has_frames else tuple(definition_of(name) for name in definition.frames_of)
    parameters = {source.name: measurement_parameters(owner, measured, source, settings) for source in sources}
    return {
        "version": measured.version,
        "parameters": parameters if len(sources) > 1 else parameters[sources[0].name],
    }


def inputs_of(
    exposures: pl.DataFrame, excluded: Sequence[tuple[Any, ...]], sources: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what a run reads: frames by digest, the matched columns, exclusions, and products of other runs."""
    frames = (
        exposures.select("obsid", "ccd", "digest", "script_column", "chamber", "hk_stamp").sort("obsid", "ccd").rows()
    )
    return {
        "n_frames": len(frames),
        "frames": digest_of(frames),
        "excluded": digest_of(sorted(map(str, excluded))),
        "sources": {kind: list(runs) for kind, runs in sources.items()},
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one line for each leaf in which two recipes or inputs differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        was, now, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            lines += differences(was, now, f"{name}.")
        elif _plain(was) != _plain(now):
            lines.append(f"{name}: {_short(was)} -> {_short(now)}")
    return lines


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=str))


def _short(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
