from __future__ import annotations

import numpy as np
import pytest

from vison_etl.pixels.lag_products import LARGEST, MAX_LAG, inside, lag_products, padded


def plain(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum with slices, 64 bits wide."""
    rows, columns = values.shape
    out = np.zeros((2, MAX_LAG + 1, 2 * MAX_LAG + 1), np.int64)
    for j in range(MAX_LAG + 1):
        for i in range(-MAX_LAG if j else 0, MAX_LAG + 1):
            left = slice(0, max(rows - j, 0)), slice(max(-i, 0), max(columns - max(i, 0), 0))
            right = slice(j, None), slice(max(i, 0), max(columns + min(i, 0), 0))
            for k, image in enumerate((values, weights)):
                wide = image.astype(np.int64)
                out[k, j, i + MAX_LAG] = np.sum(wide[left] * wide[right])
    return out[0], out[1]


@pytest.mark.parametrize("shape", [(40, 50), (33, 2101), (3, 5), (1, 1), (9, 4200)])
@pytest.mark.parametrize("masked", [0.0, 0.01, 0.5])
def test_sums_are_exact(shape: tuple[int, int], masked: float) -> None:
    rng = np.random.default_rng(1)
    values, weights = padded(*shape), padded(*shape)
    kept = rng.random(shape) >= masked
    inside(values)[:] = np.where(kept, rng.integers(-LARGEST, LARGEST, shape, endpoint=True), 0)
    inside(weights)[:] = kept
    products, counts = lag_products(values, weights, kept.all(axis=1))
    wanted_products, wanted_counts = plain(inside(values), inside(weights))
    np.testing.assert_array_equal(products, wanted_products)
    np.testing.assert_array_equal(counts, wanted_counts)


def test_the_largest_values_do_not_overflow() -> None:
    shape = 10, 5000
    values, weights = padded(*shape), padded(*shape)
    inside(values)[:] = LARGEST
    inside(weights)[:] = 1
    products, counts = lag_products(values, weights, np.ones(shape[0], np.bool_))
    np.testing.assert_array_equal(products, counts * LARGEST**2)
    assert counts[0, MAX_LAG] == shape[0] * shape[1]
    assert counts[8, 0] == 2 * 4992
