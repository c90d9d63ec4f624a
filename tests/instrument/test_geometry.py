from __future__ import annotations

import numpy as np
import pytest

from vison_etl.instrument.geometry import (
    GeometryError,
    InjectionHalf,
    RoeBoard,
    Window,
    geometry_of,
    place_quadrant,
    quadrant_view,
    region_window,
    tiles,
)

SIZES = [(4238, 4172), (4256, 4172), (4238, 4132), (654, 552)]


@pytest.mark.parametrize(
    ("size", "quadrant", "image", "overscan"),
    [
        ((4238, 4172), (2119, 2086), (2048, 2066), (20, 20)),
        ((4256, 4172), (2128, 2086), (2048, 2066), (29, 20)),
        ((4238, 4132), (2119, 2066), (2048, 2066), (20, 0)),
        ((654, 552), (327, 276), (256, 256), (20, 20)),
    ],
)
def test_sizes_give_the_geometry(size, quadrant, image, overscan):
    geometry = geometry_of(*size)
    assert (geometry.quadrant_columns, geometry.quadrant_rows) == quadrant
    assert (geometry.image_columns, geometry.image_rows) == image
    assert (geometry.overscan, geometry.parallel_overscan) == overscan
    assert geometry.prescan == 51


@pytest.mark.parametrize("size", [(4237, 4172), (4238, 4171), (100, 4172), (4238, 50), (0, 0), (-4238, -4172)])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(GeometryError, match="px"):
        geometry_of(*size)


@pytest.mark.parametrize("size", SIZES)
def test_nodes_are_in_the_outer_corners(size):
    geometry = geometry_of(*size)
    image = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size[1], size[0])
    corners = {"E": image[-1, 0], "F": image[-1, -1], "G": image[0, -1], "H": image[0, 0]}
    for quadrant, node in corners.items():
        view = quadrant_view(image, geometry, quadrant)
        assert view.shape == (geometry.quadrant_rows, geometry.quadrant_columns)
        assert view[0, 0] == node
        assert np.shares_memory(view, image)


def test_quadrants_tile_the_frame_once_and_are_placed_back():
    geometry = geometry_of(654, 552)
    image = np.random.default_rng(1).integers(0, 65536, (552, 654)).astype(np.uint16)
    copy = np.zeros_like(image)
    for quadrant in "EFGH":
        place_quadrant(copy, geometry, quadrant, quadrant_view(image, geometry, quadrant).copy())
    assert np.array_equal(copy, image)


def test_wrong_shapes_and_names_are_refused():
    geometry = geometry_of(654, 552)
    with pytest.raises(GeometryError):
        quadrant_view(np.zeros((654, 552)), geometry, "E")
    with pytest.raises(ValueError, match="quadrant"):
        quadrant_view(np.zeros((552, 654)), geometry, "A")
    with pytest.raises(ValueError, match="region"):
        region_window(geometry, "all", 0, 2086)


def test_windows_of_a_full_frame():
    geometry = geometry_of(4238, 4172)
    assert region_window(geometry, "pre", 0, 2086) == Window(25, 46, 0, 2066)
    assert region_window(geometry, "img", 0, 2086) == Window(56, 2094, 0, 2066)
    assert region_window(geometry, "ove", 0, 2086) == Window(2104, 2114, 0, 2066)
    assert region_window(geometry, "pov", 0, 2086) == Window(56, 2094, 2068, 2086)
    fpa = geometry_of(4256, 4172)
    assert region_window(fpa, "ove", 0, 2086) == Window(2104, 2123, 0, 2066)


def test_row_windows_are_half_open():
    geometry = geometry_of(4238, 4172)
    assert region_window(geometry, "img", 10, 100) == Window(56, 2094, 10, 100)
    assert region_window(geometry, "pov", 0, 2066) is None
    assert region_window(geometry, "pov", 0, 2068) is None
    assert region_window(geometry, "pov", 2070, 2072) == Window(56, 2094, 2070, 2072)
    assert region_window(geometry, "img", 2066, 2086) is None
    assert region_window(geometry_of(4238, 4132), "pov", 0, 2086) is None


def test_commanded_rows_are_clipped_to_small_frames():
    geometry = geometry_of(654, 552)
    assert region_window(geometry, "img", 0, 2086) == Window(56, 302, 0, 256)
    assert region_window(geometry, "ove", 0, 2086) == Window(312, 322, 0, 256)
    assert region_window(geometry, "pov", 0, 2086) == Window(56, 302, 258, 276)


def test_window_slices_index_rows_first():
    window = Window(3, 5, 1, 2)
    assert np.arange(20).reshape(2, 10)[window.slices].tolist() == [[13, 14]]


@pytest.mark.parametrize(
    ("size", "side"), [((4238, 4172), 300), ((4256, 4172), 300), ((4238, 4132), 300), ((654, 552), 42)]
)
def test_tiles_are_exact_squares_from_the_image_origin(size, side):
    geometry = geometry_of(*size)
    found = tiles(geometry)
    assert len(found) == 36
    assert {(tile.width, tile.height) for tile in found} == {(side, side)}
    assert [(tile.x, tile.y) for tile in found[:7]] == [(51, i * side) for i in range(6)] + [(51 + side, 0)]
    assert [tile.index for tile in found] == list(range(36))
    covered = np.zeros((geometry.quadrant_rows, geometry.quadrant_columns), int)
    for tile in found:
        covered[tile.slices] += 1
    assert covered.max() == 1
    assert covered.sum() == 36 * side * side
    assert not covered[:, :51].any()
    assert not covered[geometry.image_rows :].any()
    assert not covered[:, 51 + geometry.image_columns :].any()


def test_the_two_conventions_of_t_and_b_are_opposite_and_apart():
    assert RoeBoard.T.value == InjectionHalf.BOTTOM.value == "EF"
    assert RoeBoard.B.value == InjectionHalf.TOP.value == "GH"
    assert RoeBoard.T != InjectionHalf.BOTTOM
    assert not {board.name for board in RoeBoard} & {half.name for half in InjectionHalf}
