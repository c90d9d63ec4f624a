"""Renew ``versions.json``: ``python -m tests.effects.renew_versions [--same-numbers]``.

Whoever changes the code behind a measurement or a calibration raises its version in ``effect.py`` and runs this. Where the change
cannot alter a number (a name, a faster loop with the same bits), ``--same-numbers`` says so and the version stays.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.effects.code_digest import digests
from vison_etl.effects.registry import load, names

FILE = Path(__file__).with_name("versions.json")
COMMAND = "python -m tests.effects.renew_versions"


def present() -> dict[str, Any]:
    """Return versions and digests of the code as it is.

    Returns
    -------
    dict
        ``code``: per calibration (``effect``) and measurement (``effect.measurement``) its version and the digest of its code;
        ``definitions``: digest of every definition that any of them reaches.
    """
    code: dict[str, dict[str, Any]] = {}
    definitions: dict[str, str] = {}
    for name in names():
        effect = load(name)
        made = [(name, effect.version, effect.calibrate)]
        made += [(f"{name}.{m.name}", m.version, m.function) for m in effect.measurements]
        for what, version, function in made:
            reached = digests((function.__module__, function.__qualname__))
            code[what] = {"version": version, "digest": _digest(reached), "of": sorted(reached)}
            definitions |= reached
    return {"code": code, "definitions": dict(sorted(definitions.items()))}


def recorded() -> dict[str, Any]:
    """Return what was recorded last; nothing where nothing was."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"code": {}, "definitions": {}}


def unraised(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what has other code than recorded under the same version, with the definitions that changed."""
    found = {}
    for what, mine in now["code"].items():
        old = before["code"].get(what)
        if old is not None and mine["digest"] != old["digest"] and mine["version"] <= old["version"]:
            here = {name: now["definitions"][name] for name in mine["of"]}
            there = {name: before["definitions"].get(name) for name in here}
            changed = [name for name in here if here[name] != there[name]]
            found[what] = changed or ["something is no longer used"]
    return found


def _digest(reached: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(reached, sort_keys=True).encode()).hexdigest()[:16]


def as_text(state: Mapping[str, Any]) -> str:
    """Return the content of the file."""
    code = {what: {k: v for k, v in mine.items() if k != "of"} for what, mine in state["code"].items()}
    return json.dumps({"code": code, "definitions": state["definitions"]}, indent=1) + "\n"


def main() -> None:
    """Rewrite the file unless a version was forgotten."""
    now = present()
    forgotten = unraised(now, recorded())
    if forgotten and "--same-numbers" not in sys.argv[1:]:
        for what, changed in forgotten.items():
            sys.stderr.write(f"{what}: raise its version in effect.py; changed: {', '.join(changed)}\n")
        sys.exit("not renewed; if no number can have changed: --same-numbers")
    FILE.write_text(as_text(now), encoding="utf-8")


if __name__ == "__main__":
    main()
