"""Programs that other processes run in the tests of concurrency: ``python publishers.py WHAT ...``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[2]))


def runs_and_publishes(root: str, first_minute: str, n: str) -> None:
    """Store ``n`` runs, publishing after each."""
    from tests.results.fake_lake import store_run
    from vison_etl.lake.paths import Lake
    from vison_etl.results.publish import publish

    for minute in range(int(first_minute), int(first_minute) + int(n)):
        store_run(Lake(Path(root)), "BORN/BIAS01/100", minute)
        publish(root)


def publishes(root: str) -> None:
    """Say that everything is loaded, then publish when told."""
    from vison_etl.results.publish import publish

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    publish(root)


def _open(database: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a database as a careless client does; to write, it is made writable, until it is caught between two publishers."""
    while True:
        try:
            if not read_only:
                database.chmod(0o644)
            return duckdb.connect(str(database), read_only=read_only)
        except duckdb.IOException:
            time.sleep(0.01)


def holds(database: str, how: str) -> None:
    """Open a database, read-only or to write, use it, and keep it until killed."""
    client = _open(Path(database), read_only=how == "read")
    client.sql("select count(*) from history.runs").fetchall()
    if how == "write":
        client.execute("create table scratch as select 1 as x")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        time.sleep(0.02)
        if how == "write":
            client.execute("insert into scratch values (2)")
        else:
            client.sql("select count(*) from history.runs").fetchall()


if __name__ == "__main__":
    {"runs_and_publishes": runs_and_publishes, "publishes": publishes, "holds": holds}[sys.argv[1]](*sys.argv[2:])
