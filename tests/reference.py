"""Where the reference material is, if it is here: facts and samples that some tests compare with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def reference_root() -> Path | None:
    """Return the folder that holds ``reference/`` and ``samples/``: $VISON_ETL_REFERENCE, else ``shared`` beside the repository."""
    named = os.environ.get("VISON_ETL_REFERENCE")
    places = [Path(named)] if named else [Path(__file__).parents[2] / "shared"]
    return next((place for place in places if (place / "reference").is_dir()), None)


def reference_file(relative: str) -> Path:
    """Return a file of the reference material; skip the calling test where it is not here."""
    root = reference_root()
    if root is None or not (root / relative).is_file():
        pytest.skip(f"reference material without {relative}; set VISON_ETL_REFERENCE")
    return root / relative
