"""Covariances must not depend on the processor that they are compiled for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DIGEST = """
import hashlib
import numpy as np
from tests.frames import SMALL
from tests.pixels.covariance_frames import Scene, pair
from vison_etl.pixels.covariances import measure_covariances
found = measure_covariances(*pair(5, Scene(gradient=0.02), SMALL, flux=1.01, tilt=0.001), SMALL)
values = [np.asarray(getattr(one, name)).tobytes() for one in found for name in one.__slots__]
print(hashlib.sha256(b"".join(values)).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.lengthy
def test_any_processor_gives_the_same_to_the_bit(tmp_path: Path) -> None:
    """Compile for this processor and for the oldest of its kind, whose vectors are four times shorter."""
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(k))} | settings,
        ).stdout
        for k, settings in enumerate(({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}))
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64
