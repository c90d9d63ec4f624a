"""Histograms and statistics of the regions of a frame against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frames import SMALL, TINY, bias_frame, ccd_frame, raw
from vison_etl.instrument.geometry import QUADRANTS, REGIONS, geometry_of, quadrant_view, region_window
from vison_etl.pixels.clipping import STATISTICS
from vison_etl.pixels.histograms import region_histograms, region_statistics
from vison_etl.tables import table


def _region(image, geometry, quadrant, region, vstart=0, vend=2086):
    window = region_window(geometry, region, vstart, vend)
    return None if window is None else quadrant_view(image, geometry, quadrant)[window.slices]


def _rows(image, geometry=SMALL, vstart=0, vend=2086):
    return {(row["quadrant"], row["region"]): row for row in region_statistics(image, geometry, vstart, vend)}


@pytest.mark.parametrize("size", [(654, 552), (234, 172), (236, 174), (4256, 174)])
@pytest.mark.parametrize(("vstart", "vend"), [(0, 2086), (3, 60), (0, 41)])
def test_every_pixel_of_every_region_is_counted_once(size, vstart, vend):
    geometry = geometry_of(*size)
    image = np.random.default_rng(1).integers(0, 65536, size[::-1], dtype=np.uint16)
    from_file = region_histograms(raw(image), geometry, vstart, vend)
    np.testing.assert_array_equal(from_file, region_histograms(image, geometry, vstart, vend))
    for q, quadrant in enumerate(QUADRANTS):
        for r, region in enumerate(REGIONS):
            pixels = _region(image, geometry, quadrant, region, vstart, vend)
            wanted = np.zeros(65536) if pixels is None else np.bincount(pixels.ravel(), minlength=65536)
            np.testing.assert_array_equal(from_file[q, r], wanted)


def test_runs_of_equal_codes_and_the_ends_of_the_range():
    for code in (0, 1, 32767, 32768, 65534, 65535):
        image = np.full((172, 234), code, np.uint16)
        counts = region_histograms(raw(image), TINY, 0, 2086)
        assert counts.sum() == counts[:, :, code].sum() > 0


def test_statistics_equal_numpy_where_nothing_is_clipped():
    image = bias_frame(np.random.default_rng(2), TINY, noise=300.0)
    for (quadrant, region), row in _rows(raw(image), TINY).items():
        pixels = _region(image, TINY, quadrant, region)
        assert row["n"] + row["n_clipped"] == pixels.size
        assert row["median_adu"] == np.median(pixels)
        for name, q in (("p05_adu", 5), ("p25_adu", 25), ("p75_adu", 75), ("p95_adu", 95)):
            assert row[name] == np.percentile(pixels, q)
        assert row["std_adu"] == pytest.approx(np.std(pixels, ddof=1), rel=1e-12)
        assert (row["min_adu"], row["max_adu"]) == (pixels.min(), pixels.max())
        assert row["mean_adu_err"] == pytest.approx(row["clipped_std_adu"] / np.sqrt(row["n"]), rel=1e-12)


def test_outliers_move_the_clipped_statistics_by_nothing_and_the_others_by_much():
    rng = np.random.default_rng(3)
    image = bias_frame(rng, noise=1.2)
    clean = _rows(raw(image))["H", "img"]
    hit = image.copy()
    hit[rng.integers(0, 256, 200), rng.integers(60, 300, 200)] = 40000
    row = _rows(raw(hit))["H", "img"]
    assert abs(row["mean_adu"] - clean["mean_adu"]) < 0.1 * clean["mean_adu_err"]
    assert row["clipped_std_adu"] == pytest.approx(clean["clipped_std_adu"], rel=1e-3)
    assert row["std_adu"] > 1000
    assert row["n_clipped"] >= 195


def test_rows_are_the_columns_of_the_table():
    row = region_statistics(raw(bias_frame(np.random.default_rng(4), TINY)), TINY, 0, 2086)[0]
    engine = {"block", "obsid", "ccd", "day"}
    assert set(row) == set(table("quadrant_stats").names) - engine
    assert tuple(row)[2:] == STATISTICS
    assert all(value is None or isinstance(value, (int, float, str)) for value in row.values())


def test_dead_and_saturated_quadrants():
    h, w = SMALL.quadrant_rows, SMALL.quadrant_columns
    levels = {"E": np.zeros((h, w)), "F": np.full((h, w), 65535.0), "G": np.full((h, w), 2600.0)}
    rows = _rows(raw(ccd_frame(SMALL, levels)))
    for quadrant, count in (("E", "n_zero"), ("F", "n_saturated")):
        row = rows[quadrant, "img"]
        assert row["n"] == 0
        assert row[count] == 246 * 256
        assert all(row[name] is None for name in STATISTICS if not name.startswith("n"))
    constant = rows["G", "img"]
    assert (constant["mean_adu"], constant["std_adu"], constant["clipped_std_adu"]) == (2600.0, 0.0, 0.0)


def test_a_saturated_part_is_counted_and_left_out():
    image = bias_frame(np.random.default_rng(5))
    image[50:60, 100:110] = 65535
    image[70:75, 100:110] = 0
    row = _rows(raw(image))["H", "img"]
    assert (row["n_saturated"], row["n_zero"]) == (100, 50)
    assert row["n"] + row["n_clipped"] + 150 == 246 * 256
    assert row["max_adu"] < 3000


def test_parallel_overscan_that_was_not_read_has_counts_of_zero_and_no_values():
    rows = _rows(raw(bias_frame(np.random.default_rng(6))), vend=256)
    for quadrant in QUADRANTS:
        row = rows[quadrant, "pov"]
        assert [row[name] for name in ("n", "n_clipped", "n_zero", "n_saturated")] == [0, 0, 0, 0]
        assert row["mean_adu"] is None
        assert rows[quadrant, "img"]["n"] > 0


def test_one_pixel_has_a_mean_and_no_spread():
    image = np.zeros((172, 234), np.uint16)
    image[20, 60] = 1234
    row = _rows(raw(image), TINY)["H", "img"]
    assert (row["n"], row["mean_adu"], row["median_adu"], row["p05_adu"]) == (1, 1234.0, 1234.0, 1234.0)
    assert row["std_adu"] is row["clipped_std_adu"] is row["mean_adu_err"] is None


def test_frames_are_not_changed_and_may_be_read_only():
    image = raw(bias_frame(np.random.default_rng(7), TINY))
    image.setflags(write=False)
    before = image.copy()
    region_statistics(image, TINY, 0, 2086)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("wrong", [np.zeros((172, 234), np.float32), np.zeros((172, 234), np.int16)])
def test_other_types_are_refused(wrong):
    with pytest.raises(TypeError, match="big-endian int16"):
        region_histograms(wrong, TINY, 0, 2086)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="geometry of 654 x 552"):
        region_histograms(np.zeros((172, 234), np.uint16), SMALL, 0, 2086)
