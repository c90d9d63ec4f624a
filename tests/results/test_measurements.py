"""The long form of all results."""

from __future__ import annotations

from tests.results.fake_lake import ask
from vison_etl import tables
from vison_etl.lake.paths import Lake

COLUMNS = ["block", "test", "acquisition", "ccd", "quadrant", "quantity", "value", "value_err", "unit"]


def test_columns_as_promised(lake: Lake) -> None:
    assert [row[0] for row in ask(lake.root, "describe measurements")][: len(COLUMNS)] == COLUMNS


def test_values_errors_and_units(lake: Lake) -> None:
    query = (
        "select ccd, quadrant, value, value_err, unit, source_table, detail from measurements"
        " where quantity = 'gain_e_per_adu' and ccd = 'CCD1' and quadrant = 'E' order by detail"
    )
    assert ask(lake.root, query) == [
        ("CCD1", "E", 3.4, 0.001, "e/ADU", "gain", "model=exponential"),
        ("CCD1", "E", 3.5, 0.001, "e/ADU", "gain", "model=quadratic"),
    ]


def test_rows_are_distinct_and_not_null(lake: Lake) -> None:
    keys = "run_id, source_table, quantity, ccd, quadrant, detail"
    assert ask(lake.root, f"select {keys} from measurements group by all having count(*) > 1") == []
    assert ask(lake.root, "select count(*) from measurements where value is null") == [(0,)]


def test_counts_are_those_of_the_tables(lake: Lake) -> None:
    for table, quantity in (("readout_noise", "ron_adu"), ("offsets", "offset_adu"), ("gain", "gain_e_per_adu")):
        found = ask(
            lake.root, f"select count(*) from measurements where source_table = '{table}' and quantity = '{quantity}'"
        )
        assert found == ask(lake.root, f"select count({quantity}) from {table}")


def test_every_quantity_of_the_vocabulary_can_appear(lake: Lake) -> None:
    body = ask(lake.root, "select sql from duckdb_views() where view_name = 'measurements'")[0][0]
    for table in tables.tables_of("result"):
        for quantity, _ in table.quantities():
            assert (f"'{quantity.name}'" in body) or table.name == "compliance"
