"""Cells of a master frame against the prescan of their rows."""

import numpy as np
import pytest

from tests.frames import SMALL
from vison_etl.pixels.dark_cells import measure_cells

SHAPE = (SMALL.quadrant_rows, SMALL.quadrant_columns)


def test_cells_cover_the_image_and_the_parallel_overscan():
    cells = measure_cells(np.zeros(SHAPE), SMALL, 0, 2086)
    image = [cell for cell in cells if cell.region == "img"]
    assert len(image) == 256
    assert sum(cell.n for cell in image) == 246 * 256
    above = [cell for cell in cells if cell.region == "pov"]
    assert len(above) == 16
    assert {cell.row_block for cell in above} == {16}
    assert {(cell.y, cell.height) for cell in above} == {(258, 18)}
    assert not [cell for cell in measure_cells(np.zeros(SHAPE), SMALL, 0, 256) if cell.region == "pov"]


def test_what_is_common_to_a_row_cancels():
    rng = np.random.default_rng(1)
    values = 3.0 * rng.standard_normal((SHAPE[0], 1)) + np.zeros(SHAPE)
    values[:, 51:] += 0.25
    for cell in measure_cells(values, SMALL, 0, 2086):
        assert cell.level - cell.base == pytest.approx(0.25)
        assert cell.level_error < 1e-6


def test_errors_are_those_of_white_noise():
    rng = np.random.default_rng(2)
    found = [measure_cells(rng.normal(0.0, 1.3, SHAPE), SMALL, 0, 2086)[100] for _ in range(60)]
    assert found[0].level_error == pytest.approx(1.3 / np.sqrt(found[0].n), rel=0.02)
    assert found[0].base_error == pytest.approx(1.3 / np.sqrt(16 * 21), rel=0.05)
    assert np.std([cell.level for cell in found]) == pytest.approx(found[0].level_error, rel=0.3)


def test_masked_pixels_do_not_count():
    values = np.zeros(SHAPE)
    values[:16, 60:70], values[40, 100] = np.nan, np.nan
    cells = measure_cells(values, SMALL, 0, 256)
    assert sum(cell.n for cell in cells) == 246 * 256 - 161
    values[32:48, 25:46] = np.nan
    assert len(measure_cells(values, SMALL, 0, 256)) == 256 - 16
    assert measure_cells(np.full(SHAPE, np.nan), SMALL, 0, 256) == []
