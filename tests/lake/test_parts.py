"""Part files: whole or not at all, typed, found by name alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from vison_etl import tables
from vison_etl.lake.atomic import replacing, write_bytes
from vison_etl.lake.parts import (
    part_files,
    partition_filters,
    partition_of,
    partition_values,
    read,
    scan,
    schema,
    write_part,
)
from vison_etl.lake.paths import Lake, LakeError, bucket_name, bucket_of

KEY = {"block": "BORN", "day": "2019-03-12"}


def stats(obsids: list[int], **more: object) -> pl.DataFrame:
    rows = [
        {"obsid": o, "ccd": "CCD1", "quadrant": "E", "region": "img", "n": 10, "mean_adu": 1.5, **more} for o in obsids
    ]
    return pl.DataFrame(rows)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a=b" / "la ke[1]")


def test_rows_come_back_typed_sorted_and_complete(lake: Lake) -> None:
    assert write_part(lake, "quadrant_stats", KEY, "017200", stats([17203, 17201], median_adu=float("nan")))
    frame = read(lake, "quadrant_stats")
    assert frame.schema == schema("quadrant_stats")
    assert frame["obsid"].to_list() == [17201, 17203]
    assert frame["block"].unique().to_list() == ["BORN"]
    assert frame["median_adu"].null_count() == 2
    assert frame["std_adu"].null_count() == 2


def test_the_same_rows_again_change_nothing(lake: Lake) -> None:
    assert write_part(lake, "quadrant_stats", KEY, "017200", stats([1, 2]), inputs="abc")
    path = lake.part("quadrant_stats", KEY, "017200")
    before = path.stat()
    assert not write_part(lake, "quadrant_stats", KEY, "017200", stats([2, 1]), inputs="abc")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert write_part(lake, "quadrant_stats", KEY, "017200", stats([1]))
    assert [p.name for p in path.parent.iterdir()] == ["part-017200.parquet"]


def test_metadata_carries_provenance(lake: Lake) -> None:
    write_part(lake, "quadrant_stats", KEY, "000000", stats([1]), inputs="abc")
    metadata = pl.read_parquet_metadata(lake.part("quadrant_stats", KEY, "000000"))
    assert metadata["table"] == "quadrant_stats"
    assert metadata["schema_version"] == str(tables.SCHEMA_VERSION)
    assert metadata["inputs"] == "abc"
    assert metadata["software_version"]


def test_an_empty_frame_removes_the_part(lake: Lake) -> None:
    write_part(lake, "quadrant_stats", KEY, "000000", stats([1]))
    assert write_part(lake, "quadrant_stats", KEY, "000000", stats([1]).clear())
    assert not write_part(lake, "quadrant_stats", KEY, "000000", stats([1]).clear())
    assert read(lake, "quadrant_stats").is_empty()


def test_what_does_not_fit_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="no column nonsense"):
        write_part(lake, "quadrant_stats", KEY, "000000", stats([1], nonsense=1))
    with pytest.raises(LakeError, match="not unique"):
        write_part(lake, "quadrant_stats", KEY, "000000", stats([1, 1]))
    with pytest.raises(LakeError, match="another block"):
        write_part(lake, "quadrant_stats", KEY, "000000", stats([1], block="MAX"))
    with pytest.raises(LakeError, match="only letters"):
        write_part(lake, "quadrant_stats", {"block": "../x", "day": "2019-03-12"}, "000000", stats([1]))
    with pytest.raises(LakeError, match="partitioned by"):
        write_part(lake, "quadrant_stats", {"block": "X"}, "000000", stats([1]))
    assert part_files(lake, "quadrant_stats") == []


def test_partitions_are_selected_by_folder(lake: Lake) -> None:
    for block in ("BORN", "012"):
        for day in ("2019-03-12", "2019-03-13"):
            write_part(lake, "quadrant_stats", {"block": block, "day": day}, "000000", stats([1]))
    assert partition_values(lake, "quadrant_stats", "block") == ["012", "BORN"]
    assert partition_values(lake, "quadrant_stats", "day") == ["2019-03-12", "2019-03-13"]
    assert partition_values(lake, "exposures", "block") == []
    wanted = partition_filters(block="012", day=["2019-03-13"])
    assert scan(lake, "quadrant_stats", **wanted).collect().height == 1
    assert read(lake, "quadrant_stats", block="012").height == 2
    assert read(lake, "quadrant_stats", block="nobody").schema == schema("quadrant_stats")
    with pytest.raises(ValueError, match="not partitioned by ccd"):
        read(lake, "quadrant_stats", ccd="CCD1")
    assert partition_of(part_files(lake, "quadrant_stats")[0]) == {"block": "012", "day": "2019-03-12"}


def test_strangers_and_leftovers_are_not_read(lake: Lake) -> None:
    write_part(lake, "quadrant_stats", KEY, "000000", stats([1]))
    folder = lake.partition_folder("quadrant_stats", KEY)
    (folder / ".tmp-part-000000.parquet-x").write_bytes(b"half")
    (folder / "notes.parquet").write_bytes(b"junk")
    assert read(lake, "quadrant_stats").height == 1


def test_an_older_file_lacks_columns_and_has_narrower_numbers(lake: Lake) -> None:
    path = lake.part("quadrant_stats", KEY, "000000")
    path.parent.mkdir(parents=True)
    old = stats([1]).with_columns(pl.col("obsid").cast(pl.Int32), pl.lit("x").alias("dropped"), block=pl.lit("BORN"))
    old.write_parquet(path)
    write_part(lake, "quadrant_stats", KEY, "000100", stats([101]))
    frame = read(lake, "quadrant_stats")
    assert frame.schema == schema("quadrant_stats")
    assert frame["obsid"].to_list() == [1, 101]


@pytest.mark.parametrize(
    ("table", "partition", "remedy"),
    [
        ("quadrant_stats", KEY, "forget --block BORN --day 2019-03-12"),
        ("pair_tiles", {"block": "BORN", "test": "PTC01"}, "analyse --block BORN --test PTC01"),
        ("acquisitions", {"block": "BORN"}, "ingest a day folder"),
        ("overrides", {}, "restore it from a copy"),
    ],
)
def test_an_unreadable_file_is_named_with_its_remedy(
    lake: Lake, table: str, partition: dict[str, str], remedy: str
) -> None:
    path = lake.part(table, partition, "000000")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no parquet")
    with pytest.raises(LakeError, match=remedy) as error:
        read(lake, table)
    assert str(path) in str(error.value)


def test_a_damaged_page_is_found(lake: Lake) -> None:
    frame = stats(list(range(3000))).with_columns(mean_adu=pl.int_range(3000).cast(pl.Float64).sqrt())
    write_part(lake, "quadrant_stats", KEY, "000000", frame)
    path = lake.part("quadrant_stats", KEY, "000000")
    content = bytearray(path.read_bytes())
    content[200:3000] = bytes(2800)
    path.write_bytes(content)
    with pytest.raises(LakeError, match="part-000000"):
        read(lake, "quadrant_stats")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x" / "file"
    assert write_bytes(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"ne")
        raise RuntimeError

    with pytest.raises(RuntimeError), replacing(path) as temporary:
        fail(temporary)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_duckdb_reads_the_same_rows(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for block in ("BORN", "012"):
        write_part(lake, "quadrant_stats", {"block": block, "day": "2019-03-12"}, "000000", stats([1, 2]))
    pattern = lake.table_folder("quadrant_stats") / "**" / "part-*.parquet"
    for options in (
        "union_by_name=true, hive_partitioning=true, hive_types={'block':VARCHAR,'day':VARCHAR}",
        "union_by_name=true, hive_partitioning=false",
    ):
        query = f"select * from read_parquet('{pattern}', {options}) order by block, obsid"
        assert (
            duckdb.sql(query)
            .pl()
            .select(schema("quadrant_stats").names())
            .equals(read(lake, "quadrant_stats").sort("block", "obsid"))
        )


def test_timestamps_have_no_zone(lake: Lake) -> None:
    at = datetime(2019, 3, 12, 10, 0, 0, 5)  # noqa: DTZ001 - without zone, as the bench writes it
    frame = pl.DataFrame([{"obsid": 1, "key": "k", "reading": 0, "read_at": at, "value": 1.0}])
    write_part(lake, "housekeeping", KEY, "000000", frame)
    assert read(lake, "housekeeping")["read_at"].to_list() == [at]


def test_buckets() -> None:
    assert bucket_of(17273) == 17200
    assert bucket_name(bucket_of(99)) == "000000"
    assert bucket_name(17200) == "017200"
