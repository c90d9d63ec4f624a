"""Background, columns, pixels and classes of master frames."""

import numpy as np
import pytest

from vison_etl.pixels import quality
from vison_etl.pixels.defect_background import background, block_edges, robust_sigma
from vison_etl.pixels.defect_classes import Limits, absolute_residual, find_defects, relative_residual
from vison_etl.pixels.defect_columns import find_columns
from vison_etl.pixels.defect_pixels import clusters_of, counts_outside, crowded_columns, deviant_pixels

ROWS, COLUMNS = 256, 300
DARK = Limits(5.5, 4.2, 4.6, 1.0, 0.1, 50.0, 5.0, float("inf"), 0.1)
FLAT = Limits(5.5, 4.2, 4.6, 0.005, 0.0005, 0.2, 0.05, 0.5, 0.1)


@pytest.fixture
def noise():
    return np.random.default_rng(4).normal(0.0, 0.5, (ROWS, COLUMNS)).astype(np.float32)


def test_background_follows_slopes_to_the_edges_and_not_defects(noise):
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    slope = 3.0 + 0.01 * x - 0.02 * y
    values = (slope + noise).astype(np.float32)
    values[:, 40] += 1000.0
    values[100:104, 100:104] = np.nan
    found = background(values)
    assert np.abs(found - slope).max() < 0.15
    assert block_edges(100, 32).tolist() == [0, 33, 67, 100]
    assert np.isnan(background(np.full((40, 40), np.nan, np.float32))).all()
    assert robust_sigma(noise) == pytest.approx(0.5, rel=0.02)
    assert np.isnan(robust_sigma(np.full(3, np.nan)))


def test_columns_with_their_first_rows(noise):
    values = noise.copy()
    values[:, 20] += 0.4
    values[77:, 120] += 6.0
    values[150:, 200] -= 1.0
    values[:, 250] = np.nan
    found = {column.x: column for column in find_columns(values, 4.2, 4.6, 0.1)}
    assert set(found) == {20, 120, 200}
    assert (found[20].y, found[20].height) == (0, ROWS)
    assert found[20].value == pytest.approx(0.4, abs=4 * 0.5 / 16)
    assert abs(found[120].y - 77) <= 1
    assert abs(found[200].y - 150) < 12
    assert found[200].significance < -4.6
    assert find_columns(values, 4.2, 4.6, 10.0) == []
    assert find_columns(np.full((64, 40), np.nan, np.float32), 4.2, 4.6, 0.0) == []


def test_clusters():
    residual = np.zeros((20, 20), np.float32)
    residual[3:5, 4:7] = [[9, 1, 0], [0, 20, 9]]
    residual[10, 10] = -8
    sign = deviant_pixels(residual, residual, 5.5, 1.0)
    found = clusters_of(sign != 0, residual, residual)
    assert [(c.x, c.y, c.width, c.height, c.n_pixels, c.value, c.peak) for c in found] == [
        (4, 3, 3, 2, 3, 20.0, (5, 4)),
        (10, 10, 1, 1, 1, -8.0, (10, 10)),
    ]
    assert crowded_columns(sign, 0.05).tolist() == [4, 5, 6, 10]
    assert clusters_of(np.zeros((3, 3), bool), residual[:3, :3], residual[:3, :3]) == []


def test_classes_without_light(noise):
    values = noise + 7.0
    values[10, 10], values[20, 20], values[30, 30] = 700.0, 20.0, -20.0
    values[:, 60] += 9.0
    values[100:, 90] += 8.0
    values[50, 50] = np.nan
    values[::6, 150] += 60.0
    is_noisy = np.zeros(values.shape, bool)
    is_noisy[200, 200] = True
    error = np.full(values.shape, 0.5, np.float32)
    found = find_defects(*absolute_residual(values, error), is_noisy, DARK, has_light=False)
    listed = {(d.x, d.y): d for d in found.defects}
    kinds = {place: d.kind for place, d in listed.items()}
    assert kinds[10, 10] == "hot"
    assert kinds[20, 20] == "warm"
    assert kinds[30, 30] == "cold"
    assert kinds[60, 0] == "bright_column"
    assert kinds[150, 0] == "bright_column"
    assert kinds[200, 200] == "noisy"
    tail = next(d for d in found.defects if d.x == 90)
    assert tail.kind == "column_tail"
    assert tail.y == 100
    assert tail.is_masked
    assert len(found.defects) == 7
    dq = found.quality
    assert dq[10, 10] == quality.WARM | quality.HOT
    assert dq[20, 20] == quality.WARM
    assert dq[99, 90] == 0
    assert dq[100, 90] == quality.BAD_COLUMN | quality.COLUMN_TAIL
    assert dq[50, 50] == quality.NO_DATA
    assert (dq[:, 150] & quality.BAD_COLUMN).all()
    assert dq[200, 200] == quality.NOISY


def test_classes_of_flats():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    values = (30000.0 * (1 + 2e-5 * x - 1e-5 * y) * (1 + 0.005 * rng.standard_normal(y.shape))).astype(np.float32)
    values[10, 10] *= 0.1
    values[20, 20] *= 0.7
    values[30, 30] *= 1.3
    values[40, 40] *= 0.93
    values[:, 60] *= 0.9
    error = np.full(values.shape, 40.0, np.float32)
    is_noisy = np.zeros(values.shape, bool)
    found = find_defects(*relative_residual(values, error), is_noisy, FLAT, has_light=True)
    listed = {(d.x, d.y): (d.kind, d.is_masked) for d in found.defects}
    assert listed == {
        (10, 10): ("dead", True),
        (20, 20): ("low_response", True),
        (30, 30): ("high_response", True),
        (40, 40): ("low_response", False),
        (60, 0): ("dark_column", True),
    }
    assert found.quality[10, 10] == quality.LOW_RESPONSE | quality.BAD_PIXEL | quality.DEAD
    assert found.quality[40, 40] == quality.LOW_RESPONSE
    assert not quality.is_bad(found.quality[40, 40])


def test_fixed_thresholds():
    values = np.zeros((300, 5))
    values[:200, 1] = 60.0
    values[:199, 2] = 60.0
    values[0, 3] = -2000.0
    found = counts_outside(values, -1000.0, 50.0, 200)
    assert found["columns"].tolist() == [False, True, False, False, False]
    assert found["pixels"].sum(axis=0).tolist() == [0, 300, 199, 1, 0]
