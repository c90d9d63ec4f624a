import csv

import polars as pl
import pytest

from tests.reference import reference_file
from vison_etl.instrument.fpa import fpa_map
from vison_etl.report.fpa import Quantity, fpa_chart, placements, quadrant_sides
from vison_etl.report.page import specification
from vison_etl.tables import QUADRANTS

GAIN = Quantity("gain", "Gain", "e⁻/ADU", ".3f")


def at_corner(frame, side_x, side_y):
    """Return (place, quadrant) of the quadrant at a corner of the focal plane."""
    x = pl.col("x") == frame["x"].min() if side_x == "left" else pl.col("x2") == frame["x2"].max()
    y = pl.col("y") == frame["y"].min() if side_y == "lower" else pl.col("y2") == frame["y2"].max()
    return frame.filter(x & y).select("place", "quadrant").row(0)


def test_corners_of_the_focal_plane():
    frame = placements("final", [])
    assert at_corner(frame, "left", "lower") == ("C_11", "E")
    assert at_corner(frame, "right", "lower") == ("C_16", "H")
    assert at_corner(frame, "left", "upper") == ("C_61", "H")
    assert at_corner(frame, "right", "upper") == ("C_66", "E")


@pytest.mark.parametrize("design", ["initial", "final"])
def test_every_quadrant_has_a_place_of_its_own(design):
    frame = placements(design, [])
    assert frame.height == 144
    assert not frame.select("x", "y").is_duplicated().any()
    assert not frame.select("block", "ccd", "quadrant").is_duplicated().any()


def test_quadrants_lie_as_in_the_extensions_of_the_focal_plane_files():
    rows = csv.DictReader(reference_file("reference/data/le1_extensions.csv").read_text(encoding="utf-8").splitlines())
    corners = {(0, 0): "lower-left", (1, 0): "lower-right", (1, 1): "upper-right", (0, 1): "upper-left"}
    cells = {(cell.slice, cell.column): cell for cell in fpa_map("final")}
    for row in rows:
        cell = cells[int(row["slice"]), int(row["column"])]
        assert corners[quadrant_sides(cell, row["quadrant"])] == row["readout_node_corner_in_extension"], row["extname"]


def test_blocks_that_do_not_fly_lie_below_in_the_ccd_frame():
    frame = placements("final", ["BORN", "MAX", "HEISENBERG", "NOSTROMO"]).filter(
        pl.col("place") == "not in the focal plane"
    )
    assert frame["block"].unique().sort().to_list() == ["HEISENBERG", "MAX", "NOSTROMO"]
    assert frame["y2"].max() < 0
    assert not frame.select("x", "y").is_duplicated().any()
    first = frame.filter(block="MAX", ccd="CCD1").sort("y", "x")["quadrant"].to_list()
    assert first == ["H", "G", "E", "F"]


def channel_values(blocks, value):
    rows = [
        {
            "block": block,
            "ccd": f"CCD{c}",
            "quadrant": q,
            "test": "PTC01",
            "value": value,
            "value_err": 0.001,
            "lo": 3.0,
            "hi": 3.5,
        }
        for block in blocks
        for c in (1, 2, 3)
        for q in QUADRANTS
    ]
    return pl.DataFrame(rows)


def test_chart_is_valid_and_marks_what_is_out_of_limits():
    values = channel_values(["BORN", "MAX"], 3.3).with_columns(
        value=pl.when(block="BORN", ccd="CCD1", quadrant="E").then(3.7).otherwise("value")
    )
    chart = fpa_chart(values, GAIN, "final")
    chart.to_dict(validate=True)
    rows = max(specification(chart)["datasets"].values(), key=len)
    assert len(rows) == 144 + 12
    assert [(r["block"], r["ccd"], r["quadrant"]) for r in rows if r["is_out"]] == [("BORN", "CCD1", "E")]
    assert sum(r["value"] is not None for r in rows) == 24


def test_equal_values_make_a_chart():
    assert fpa_chart(channel_values(["BORN"], 3.3), GAIN, "final").to_dict(validate=True)
