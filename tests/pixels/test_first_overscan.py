"""Response of the first overscan pixel from rows of different levels."""

from __future__ import annotations

import numpy as np

from tests.frames import SMALL
from tests.pulls import assert_pulls
from vison_etl.pixels.first_overscan import first_response


def rows(rng, response, *, slope=14.0, n=256):
    level = slope * np.arange(n)[:, None]
    image = np.zeros((n, SMALL.quadrant_columns))
    image[:, 51:307] = level + rng.normal(0, 1, (n, 256)) * np.sqrt(level / 3.3)
    image[:, 307] += response * level[:, 0]
    fixed = 0.3 * rng.standard_normal(SMALL.quadrant_columns)  # structure of the columns, the same in every row
    return np.rint(2600 + fixed + image + rng.normal(0, 1.2, image.shape)).clip(0, 65535).astype(np.uint16)


def test_pulls():
    rng = np.random.default_rng(1)
    for response in (0.0, 2e-3):
        found = [first_response(rows(rng, response), SMALL, 40000.0) for _ in range(400)]
        assert_pulls([f.response for f in found], [f.error for f in found], response)


def test_a_hot_row_does_not_matter():
    rng = np.random.default_rng(2)
    codes = rows(rng, 1e-3)
    clean = first_response(codes, SMALL, 40000.0)
    codes[200, 307] += 500
    codes[100:110] = 65535
    found = first_response(codes, SMALL, 40000.0)
    assert abs(found.response - clean.response) < clean.error
    assert found.n_rows < clean.n_rows


def test_rows_of_one_level_say_nothing():
    rng = np.random.default_rng(3)
    assert first_response(rows(rng, 1e-3, slope=0.0), SMALL, 40000.0) is None
    assert first_response(rows(rng, 1e-3)[:30], SMALL, 40000.0) is None
