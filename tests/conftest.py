"""What holds for all tests."""

from __future__ import annotations

import os

from vison_etl.one_thread import ALGEBRA

for _name in ALGEBRA:
    os.environ.setdefault(_name, "1")
"""As on the command line: the matrices are small, and two test processes share two cores."""
