"""The functional checks as data: frames to look at, quantities, limits. Read from ``checks.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class FrameRule:
    """How a frame is known by its log: read-out mode, light (none, flat, point; None: any) and injection (None: any)."""

    name: str
    about: str
    rdmode: str
    light: str | None
    injection: bool | None


@dataclass(frozen=True, slots=True)
class Check:
    """One check of every channel: ``quantity`` in ``frame`` (in ``region``, of the light ``label``) between ``lo`` and ``hi``.

    ``times`` None, or what the limits are factors of. ``rule``: their source.
    """

    name: str
    quantity: str
    frame: str
    region: str | None
    label: str | None
    unit: str
    lo: float | None
    hi: float | None
    times: str | None
    rule: str


@cache
def _raw() -> Mapping[str, Any]:
    text = (files("vison_etl.effects.functional") / "checks.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def frame_rules() -> tuple[FrameRule, ...]:
    """Return the frames, in the order of the file."""
    return tuple(
        FrameRule(name, raw["about"], raw["rdmode"], raw.get("light"), raw.get("injection"))
        for name, raw in _raw()["frames"].items()
    )


@cache
def checks() -> tuple[Check, ...]:
    """Return the checks, each frame, region and label its own, with a name that says all of them."""
    return tuple(_expanded())


def _expanded() -> Iterator[Check]:
    for raw in _raw()["check"]:
        for frame in raw["frames"]:
            for region in raw.get("regions", [None]):
                for label in raw.get("labels", [None]):
                    of_many = len(raw["frames"]) > 1 or raw["quantity"] in {"offset", "noise", "offset_gradient"}
                    words = (raw["name"], frame if of_many else None, region, label)
                    yield Check(
                        name="_".join(word for word in words if word),
                        quantity=raw["quantity"],
                        frame=frame,
                        region=region,
                        label=label,
                        unit=raw["unit"],
                        lo=raw.get("lo"),
                        hi=raw.get("hi"),
                        times=raw.get("times"),
                        rule=raw["rule"],
                    )
