"""What users were promised is there: tables, columns, units, words, commands. The promises are data: ``contract.toml``."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import pytest

import vison_etl
from vison_etl import tables
from vison_etl.campaign.limits import flag_table
from vison_etl.instrument.elvis_keys import log_columns, versions
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish

CONTRACT = tomllib.loads(Path(__file__).with_name("contract.toml").read_text(encoding="utf-8"))
UNITS = {name: unit for name, unit in CONTRACT["unit"].items() if isinstance(unit, str)}
UNITS_OF_NAMES = CONTRACT["unit"]["of_names"]
OF_EVERY_RESULT = ("run_id", "block", "test", "acquisition")
HEAVY = ("numpy", "polars", "pyarrow", "duckdb", "scipy", "altair", "astropy", "numba", "fitsio", "openpyxl", "rich")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """Return the results database of an empty lake, open to read."""
    lake = Lake(tmp_path_factory.mktemp("contract") / "lake")
    lake.root.mkdir()
    path = publish(lake).database
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    with duckdb.connect(path, read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def published(snapshot):
    """Return the columns of every table and view of that database, by schema and name."""
    found: dict[tuple[str, str], set[str]] = {}
    rows = snapshot.execute("select table_schema, table_name, column_name from information_schema.columns").fetchall()
    for schema, table, column in rows:
        found.setdefault((schema, table), set()).add(column)
    return found


@pytest.mark.parametrize(("stage", "name"), [(s, n) for s in ("lake", "engine", "result") for n in CONTRACT[s]])
def test_promised_columns_are_in_the_vocabulary(stage, name):
    table = tables.table(name)
    assert table.stage == stage
    missing = set(CONTRACT[stage][name].split()) - set(table.names)
    assert not missing, f"table {name} lost {', '.join(sorted(missing))}"
    if stage == "result":
        assert table.names[:4] == OF_EVERY_RESULT
        assert table.keys[:4] == OF_EVERY_RESULT


@pytest.mark.parametrize("name", CONTRACT["fitted"].split())
def test_fitted_rows_say_how_the_fit_went(name):
    assert {"status", "n_points"} <= set(tables.table(name).names)


def test_promised_columns_are_published(published):
    for schema in CONTRACT["schemas"]:
        for name, columns in CONTRACT["result"].items():
            assert {*OF_EVERY_RESULT, *columns.split()} <= published[schema, name], f"{schema}.{name}"
    main = CONTRACT["lake"] | CONTRACT["engine"] | CONTRACT["view"]
    for name, columns in main.items():
        assert set(columns.split()) <= published["main", name], name


def test_promised_macros_are_published(snapshot):
    macros = {name for (name,) in snapshot.execute("select function_name from duckdb_functions()").fetchall()}
    assert set(CONTRACT["macros"]) <= macros


def test_every_published_column_says_what_it_is(snapshot):
    query = (
        "select schema_name || '.' || table_name || '.' || column_name from duckdb_columns()"
        " where database_name = current_database() and not internal and coalesce(comment, '') = ''"
    )
    assert snapshot.execute(query).fetchall() == []


def test_no_name_is_a_reserved_word(published):
    query = "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
    reserved = {word for (word,) in duckdb.sql(query).fetchall()}
    names = {name for (_, table), columns in published.items() for name in (table, *columns)}
    names |= {name for table in tables.all_tables().values() for name in (table.name, *table.names)}
    assert names & reserved == set()


def unit_of_name(name: str) -> str:
    """Return the unit that the end of a column's name stands for; none is the empty text."""
    words = name.removesuffix("_err").split("_")
    if "per" not in words:
        return UNITS.get(words[-1], "") if len(words) > 1 else ""
    place = len(words) - 1 - words[::-1].index("per")
    below = [UNITS.get(word) for word in words[place + 1 :]]
    above = UNITS.get(words[place - 1], "1")
    return "/".join([above, *(unit for unit in below if unit)]) if all(below) else ""


def test_a_name_tells_its_unit():
    assert unit_of_name("gain_e_per_adu_err") == "e/ADU"
    assert unit_of_name("a00_per_e") == "1/e"
    assert unit_of_name("dark_e_per_px_h") == "e/px/h"
    assert unit_of_name("fwhm_x_slope_um_per_10kadu") == "um/10kADU"
    assert unit_of_name("chi2") == unit_of_name("e2") == ""


@pytest.mark.parametrize("table", tables.all_tables().values(), ids=lambda table: table.name)
def test_the_unit_of_a_number_is_the_end_of_its_name(table):
    wrong = {
        f"{table.name}.{column.name}: {column.unit or 'no unit'}"
        for column in table.columns
        if column.kind == "float"
        and column.unit
        != UNITS_OF_NAMES.get(f"{table.name}.{column.name.removesuffix('_err')}", unit_of_name(column.name))
    }
    assert not wrong


@pytest.mark.parametrize("table", tables.all_tables().values(), ids=lambda table: table.name)
def test_keys_are_columns_and_names_are_unique(table):
    assert set(table.keys) <= set(table.names)
    assert set(table.partitions) <= set(table.names)
    assert len(set(table.names)) == len(table.names)
    for column in table.columns:
        if column.name.endswith("_err"):
            assert column.name.removesuffix("_err") in table.names


def test_words_are_those_promised():
    words = CONTRACT["words"]
    assert list(tables.CCDS) == words["ccd"]
    assert list(tables.QUADRANTS) == words["quadrant"]
    assert list(tables.REGIONS) == words["region"]
    assert list(tables.FIT_STATUS) == words["status"]
    assert list(tables.RUN_STATUS) == words["run_status"]
    assert list(tables.ACQUISITION_STATUS) == words["acquisition_status"]
    assert all(name == name.upper() for name in flag_table())


def test_every_column_of_every_log_has_a_place():
    names = set(tables.table("exposures").names)
    for version in versions():
        assert {column.normalised for column in log_columns(version)} <= names, version


def test_the_package_has_its_functions():
    assert set(CONTRACT["python"]) <= set(vison_etl.__all__)
    assert all(callable(getattr(vison_etl, name)) for name in CONTRACT["python"])


HELP = """
import sys
from vison_etl.cli.app import app
sys.argv = ["vison-etl", *sys.argv[1:], "--help"]
try:
    app()
except SystemExit as done:
    assert not done.code
print("\\nimported:", *sorted(set(sys.modules) & set({heavy!r})))
"""


def shown_help(*command: str) -> tuple[str, list[str]]:
    """Return what ``--help`` shows and the heavy packages it imported."""
    script = HELP.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    text, _, imported = done.stdout.rpartition("\nimported:")
    return text, imported.split()


def test_help_lists_the_promised_commands_and_imports_nothing_heavy():
    text, imported = shown_help()
    shown = {line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.startswith("  ")}
    assert set(CONTRACT["commands"]) <= shown
    assert imported == []


@pytest.mark.parametrize("command", ["ingest", "analyse", "sql"])
def test_help_of_a_command_imports_nothing_heavy(command):
    assert shown_help(command)[1] == []


def test_no_kernel_lets_its_sums_be_reordered():
    package = Path(vison_etl.__file__).parent
    assert not [path for path in package.rglob("*.py") if "fastmath" in path.read_text(encoding="utf-8")]
