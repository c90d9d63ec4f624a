"""The effects there are: one folder each, found by name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import vison_etl.effects
from vison_etl.effects.declare import Effect, Measurement


class UnknownEffectError(LookupError):
    """No effect of that name; the message names the nearest ones."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all effects that declare themselves, sorted."""
    found = (module.name for module in iter_modules(vison_etl.effects.__path__) if module.ispkg)
    return tuple(sorted(name for name in found if find_spec(f"vison_etl.effects.{name}.effect") is not None))


@cache
def load(name: str) -> Effect:
    """Return the declaration of an effect: ``EFFECT`` of ``vison_etl.effects.<name>.effect``.

    Raises
    ------
    UnknownEffectError
        If there is no such effect.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=3) or list(names())
        raise UnknownEffectError(f"no effect {name}; nearest: {', '.join(near)}")
    effect = import_module(f"vison_etl.effects.{name}.effect").EFFECT
    if not isinstance(effect, Effect):
        raise TypeError(f"vison_etl.effects.{name}.effect.EFFECT is a {type(effect).__name__}, not an Effect")
    return effect


def measurement(name: str) -> tuple[Effect, Measurement]:
    """Return a measurement that another effect uses, and its owner: ``photon_transfer.tiles``.

    Raises
    ------
    UnknownEffectError
        If there is no such effect, or it has no such measurement.
    """
    owner, _, own_name = name.partition(".")
    effect = load(owner)
    found = next((m for m in effect.measurements if m.name == own_name), None)
    if found is None:
        known = ", ".join(f"{owner}.{m.name}" for m in effect.measurements) or "none"
        raise UnknownEffectError(f"no measurement {name}; those of {owner}: {known}")
    return effect, found
