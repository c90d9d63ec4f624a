"""The four coordinate systems against an independent, pixel by pixel statement of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vison_etl.instrument.coordinates import (
    canonical_to_ccd,
    canonical_to_relative,
    ccd_to_canonical,
    ccd_to_physical,
    ccd_to_relative,
    physical_to_ccd,
    quadrant_at,
    relative_to_canonical,
    relative_to_ccd,
)
from vison_etl.instrument.geometry import geometry_of, quadrant_view

SIZES = [(4238, 4172), (4256, 4172), (4238, 4132), (654, 552)]


def _physical(geometry, quadrant, xc, yc):
    """Where the charge of a canonical pixel was on silicon, counted from the corners."""
    x, y = xc - 51, yc
    if not (0 <= x < geometry.image_columns and 0 <= y < geometry.image_rows):
        return math.nan, math.nan
    right, upper = quadrant in "FG", quadrant in "EF"
    return (
        2 * geometry.image_columns - 1 - x if right else x,
        2 * geometry.image_rows + 4 - 1 - y if upper else y,
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("quadrant", "EFGH")
def test_systems_agree_on_random_pixels(size, quadrant):
    geometry = geometry_of(*size)
    rng = np.random.default_rng(sum(size))
    xc = rng.integers(0, geometry.quadrant_columns, 1500)
    yc = rng.integers(0, geometry.quadrant_rows, 1500)
    x, y = canonical_to_ccd(geometry, quadrant, xc, yc)
    image = np.arange(size[0] * size[1]).reshape(size[1], size[0])
    assert np.array_equal(image[y.astype(int), x.astype(int)], quadrant_view(image, geometry, quadrant)[yc, xc])
    assert set(quadrant_at(geometry, x, y)) == {quadrant}
    assert np.array_equal(ccd_to_canonical(geometry, quadrant, x, y), (xc, yc))
    relative = canonical_to_relative(geometry, quadrant, xc, yc)
    assert np.array_equal(relative, ccd_to_relative(geometry, quadrant, x, y))
    assert np.array_equal(relative_to_ccd(geometry, quadrant, *relative), (x, y))
    assert np.array_equal(relative_to_canonical(geometry, quadrant, *relative), (xc, yc))
    wanted = np.array([_physical(geometry, quadrant, *point) for point in zip(xc, yc, strict=True)]).T
    physical = ccd_to_physical(geometry, x, y)
    assert np.array_equal(physical, wanted, equal_nan=True)
    seen = np.isfinite(physical[0])
    assert seen.any()
    back = physical_to_ccd(geometry, physical[0][seen], physical[1][seen])
    assert np.array_equal(back, (x[seen], y[seen]))


def test_known_corners():
    geometry = geometry_of(4238, 4172)
    nodes = {"E": (0, 4135), "F": (4095, 4135), "G": (4095, 0), "H": (0, 0)}
    for quadrant, corner in nodes.items():
        assert ccd_to_physical(geometry, *canonical_to_ccd(geometry, quadrant, 51, 0)) == corner
    assert ccd_to_physical(geometry, 51 + 2048 + 40, 0) == (2048, 0)
    assert physical_to_ccd(geometry_of(4256, 4172), 2048, 0) == (2048 + 109, 0)


@pytest.mark.parametrize("y", [2066, 2067, 2068, 2069])
def test_injection_rows_have_no_pixel(y):
    assert np.isnan(physical_to_ccd(geometry_of(4238, 4172), 100, y)).all()


@pytest.mark.parametrize("point", [(-1, 0), (4096, 0), (0, -1), (0, 4136), (math.nan, 0)])
def test_points_off_the_silicon_are_nan(point):
    assert np.isnan(physical_to_ccd(geometry_of(4238, 4172), *point)).all()


@pytest.mark.parametrize(
    "point", [(50, 0), (2099, 0), (2138, 0), (4187, 0), (100, 2066), (100, 2105), (-1, 5), (100, 4172)]
)
def test_scans_and_outside_are_not_physical(point):
    assert np.isnan(ccd_to_physical(geometry_of(4238, 4172), *point)).all()


def test_quadrant_at_outside_is_empty():
    geometry = geometry_of(4238, 4172)
    assert quadrant_at(geometry, [0, 0, 4237, 4237, 4238, -1], [0, 4171, 4171, 0, 0, 0]).tolist() == [
        "H",
        "E",
        "F",
        "G",
        "",
        "",
    ]


def test_arguments_are_left_alone():
    geometry = geometry_of(654, 552)
    x = np.array([5.0])
    result, _ = canonical_to_relative(geometry, "H", x, x)
    result += 1
    assert x[0] == 5
