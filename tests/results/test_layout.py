"""The layout of the snapshot: names, comments, macros, channels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.results.fake_lake import fill
from vison_etl import tables
from vison_etl.instrument.coordinates import canonical_to_ccd
from vison_etl.instrument.fpa import fpa_map
from vison_etl.instrument.geometry import geometry_of
from vison_etl.results import layout
from vison_etl.results.db import Connection, open_in_memory, rows
from vison_etl.results.ddl import COPIED


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with open_in_memory() as made:
        layout.create(made)
        yield made


def test_every_table_of_the_vocabulary_is_there(connection: Connection) -> None:
    found = set(rows(connection, "select table_schema, table_name from information_schema.tables"))
    for table in tables.all_tables().values():
        schemas = {"main"} if table.stage == "lake" else {"main", "every", "history"}
        assert {(schema, table.name) for schema in schemas} <= found
    base = {name for (name,) in rows(connection, "select table_name from duckdb_tables() where schema_name = 'main'")}
    assert set(COPIED) <= base


def test_columns_are_those_of_the_vocabulary_in_its_order(connection: Connection) -> None:
    for table in tables.all_tables().values():
        names = [row[0] for row in rows(connection, f"describe main.{table.name}")]
        assert names[: len(table.names)] == list(table.names)


def test_everything_has_a_comment(connection: Connection) -> None:
    assert (
        rows(
            connection,
            "select schema_name, table_name, column_name from duckdb_columns() where not internal and comment is null",
        )
        == []
    )
    assert rows(connection, "select schema_name, table_name from duckdb_tables() where comment is null") == []
    assert (
        rows(connection, "select schema_name, view_name from duckdb_views() where not internal and comment is null")
        == []
    )
    assert rows(connection, "select function_name from duckdb_functions() where not internal and comment is null") == []


def test_comments_carry_the_unit(connection: Connection) -> None:
    query = "select distinct comment from duckdb_columns() where column_name = 'gain_e_per_adu' and table_name = 'gain'"
    assert rows(connection, query) == [("gain [e/ADU]",)]
    units = rows(
        connection,
        "select distinct unit, about from dictionary where column_name = 'gain_e_per_adu_err' and table_name = 'gain'",
    )
    assert units == [("e/ADU", "one-sigma error of gain_e_per_adu")]
    assert rows(connection, "select count(*) from dictionary where about is null") == [(0,)]


def test_no_name_is_reserved(connection: Connection) -> None:
    reserved = {
        word
        for (word,) in rows(
            connection, "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
        )
    }
    names = {
        name
        for pair in rows(connection, "select table_name, column_name from duckdb_columns() where not internal")
        for name in pair
    }
    assert not {name.lower() for name in names} & reserved


@pytest.mark.parametrize(("naxis1", "naxis2"), [(4238, 4172), (4256, 4172), (654, 552)])
@pytest.mark.parametrize("quadrant", tables.QUADRANTS)
def test_macros_agree_with_the_geometry(connection: Connection, naxis1: int, naxis2: int, quadrant: str) -> None:
    geometry = geometry_of(naxis1, naxis2)
    for x, y in ((0, 0), (51, 7), (naxis1 // 2 - 1, naxis2 // 2 - 1)):
        ccd_x, ccd_y = (int(value) for value in canonical_to_ccd(geometry, quadrant, x, y))
        found = rows(
            connection,
            "select ccd_x($q, $x, $w), ccd_y($q, $y, $h), ds9_x($q, $x, $w), ds9_y($q, $y, $h)",
            {"q": quadrant, "x": x, "y": y, "w": naxis1, "h": naxis2},
        )
        assert found == [(ccd_x, ccd_y, ccd_x + 1, ccd_y + 1)]


def test_macros_of_no_quadrant_give_null(connection: Connection) -> None:
    assert rows(connection, "select ccd_x('A', 1, 4238), ccd_y(null, 1, 4172), ds9_x('e', 1, 2)") == [
        (None, None, None)
    ]


@pytest.mark.parametrize("design", ["initial", "final"])
def test_channels_are_the_focal_plane(connection: Connection, design: str) -> None:
    found = rows(
        connection,
        "select ccdid, block, ccd, slice, col, flip_rows, flip_columns, ccd_serial from channels"
        " where design = $d and ccdid is not null group by all having count(*) = 4 order by slice, col",
        {"d": design},
    )
    cells = [
        (c.ccdid, c.block, c.ccd, c.slice, c.column, c.flip_rows, c.flip_columns, c.ccd_serial)
        for c in fpa_map(design)  # type: ignore[arg-type]
    ]
    assert found == sorted(cells, key=lambda cell: (cell[3], cell[4]))


def test_quadrants_tile_the_focal_plane(connection: Connection) -> None:
    places = rows(connection, "select fpa_x, fpa_y from channels where design = 'final' and ccdid is not null")
    assert sorted(places) == [(x, y) for x in range(12) for y in range(12)]
    # columns 1-3: E lower left, G upper right; columns 4-6: E upper right, G lower left
    corners = rows(
        connection,
        "select ccdid, quadrant, fpa_x, fpa_y from channels"
        " where design = 'final' and ccdid in ('C_11', 'C_66') and quadrant in ('E', 'G') order by ccdid, quadrant",
    )
    assert corners == [("C_11", "E", 0, 0), ("C_11", "G", 1, 1), ("C_66", "E", 11, 11), ("C_66", "G", 10, 10)]


def test_blocks_that_do_not_fly_are_listed_without_a_place(connection: Connection) -> None:
    query = "select distinct design, role, ccdid, batch from channels where block = 'HEISENBERG'"
    assert sorted(rows(connection, query)) == [("final", "discarded", None, None), ("initial", "discarded", None, None)]
    assert rows(connection, "select count(*) from channels") == [(2 * 16 * 12,)]


def test_mark_follows_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = layout.mark()
    monkeypatch.setattr(layout, "statements", lambda: ("create table other (x int)",))
    layout.mark.cache_clear()
    assert layout.mark() != mark
    layout.mark.cache_clear()


def test_helper_fills_whole_frames() -> None:
    assert fill("flags", [{"flag": "A"}]).columns == list(tables.table("flags").names)
