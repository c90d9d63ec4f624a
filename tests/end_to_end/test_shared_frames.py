"""Tests without frames of their own, through files: what they are given, what they leave of the measurements, what makes them stale."""

from dataclasses import replace

import polars as pl
import pytest

from tests.end_to_end.campaign import take, work
from tests.end_to_end.shared_frames import shared_frames
from vison_etl.effects import registry
from vison_etl.lake.parts import part_files, read
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.decisions import adopt, exclude
from vison_etl.pipeline.status import status_table
from vison_etl.report.gather import gather
from vison_etl.report.source import snapshot
from vison_etl.results.connect import connect, table
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day

__all__ = ["shared_frames"]

BLOCK = "BORN"


@pytest.fixture(scope="module")
def mot(tmp_path_factory):
    """One simulated day: PTC01 as campaign MOT commands it, and one more wavelength."""
    out = tmp_path_factory.mktemp("mot")
    simulate_day(out, BLOCK, ("PTC01",), campaign="MOT", seed=4)
    return simulate_day(out, BLOCK, ("PTC02_590",), seed=5).folder.parent


@pytest.fixture
def lake(mot, tmp_path):
    """Return a lake with that day ingested."""
    lake = Lake(tmp_path / "lake")
    assert take(lake, *(p for p in sorted(mot.iterdir()) if "truth" not in p.name)).exit_code == 0
    return lake


def by_test(outcomes):
    return {o.test: o for o in outcomes}


def parts(lake):
    return {path: path.read_bytes() for path in part_files(lake, "pair_tiles")}


def acquisition(lake, test):
    (name,) = read(lake, "acquisitions").filter(pl.col("test") == test)["acquisition"]
    return name


def test_everything_in_order_measured_once_and_then_up_to_date(lake, shared_frames):
    done = by_test(work(lake))
    assert list(done) == ["PTC01", "PTC02_590", "BF01_590", "MOT_FF"]
    assert {o.action for o in done.values()} == {"stored"}
    assert [done[test].n_measured for test in ("BF01_590", "MOT_FF")] == [0, 0]
    # tiles of 12 and 5 pairs of three CCDs
    assert [done[test].n_kept for test in ("BF01_590", "MOT_FF")] == [36, 15]
    units = read(lake, "pair_tiles").group_by("test").agg(pl.col("unit_key").n_unique())
    assert dict(units.rows()) == {"PTC01": 15, "PTC02_590": 36}
    before = parts(lake)
    assert {o.action for o in work(lake)} == {"up_to_date"}
    for test in ("MOT_FF", "PTC01", "BF01_590"):
        assert work(lake, test, force=True)[0].n_measured == 0
    assert parts(lake) == before


def test_a_derived_test_may_come_first_and_its_source_keeps_what_it_measured(lake, shared_frames):
    (first,) = work(lake, "MOT_FF")
    assert (first.action, first.n_measured) == ("stored", 15)
    assert shared_frames[-1].gain is None
    rows = read_run_table(lake, first.run_id, "run_inputs").select("kind", "name").rows()
    assert {("acquisition", acquisition(lake, "PTC01")), ("measurement", "pair_tiles"), ("gain", "none")} <= set(rows)
    before = parts(lake)
    (source,) = work(lake, "PTC01")
    # what it measures beyond the tiles is missing
    assert source.n_kept == 15
    assert parts(lake) == before
    (again,) = work(lake, "MOT_FF")
    assert again.reasons == (f"inputs changed: sources.gain: [] -> ['{source.run_id}']",)
    gain = table_of_gain(lake, source.run_id)
    assert shared_frames[-1].gain.equals(gain)


def table_of_gain(lake, run_id):
    rows = read_run_table(lake, run_id, "gain").filter("is_adopted")
    values = ("gain_e_per_adu", "gain_e_per_adu_err", "a00_per_e", "a00_per_e_err")
    return rows.select("ccd", "quadrant", *values).sort("ccd", "quadrant")


def test_what_a_calibration_is_given(lake, shared_frames):
    work(lake, "PTC01", "PTC02_590", "BF01_590")
    given = shared_frames[-1]
    assert (given.test, given.wavelength_nm) == ("BF01_590", 590.0)
    assert set(given.exposures["test"]) == {"PTC02_590"} == set(given.statistics["test"])
    assert set(given.measured["pair_tiles"]["acquisition"]) == {acquisition(lake, "PTC02_590")}
    # the adopted gain is that of PTC01, not that of the frames
    newest = {run["test"]: run["run_id"] for run in list_runs(lake)}
    assert given.gain.equals(table_of_gain(lake, newest["PTC01"]))


def test_several_sources_only_when_asked_for(lake, shared_frames):
    (outcome,) = work(lake, "PTC_JOINT")
    assert (outcome.action, outcome.n_measured) == ("partial", 0)
    assert "34 of 82 exposures" in outcome.reasons[0]
    (outcome,) = work(lake, "PTC_JOINT", partial=True)
    assert (outcome.action, outcome.n_measured) == ("stored", 51)
    given = shared_frames[-1]
    assert given.wavelength_nm is None
    for rows in (given.exposures, given.statistics):
        assert dict(rows.select("test", "wavelength_nm").unique().rows()) == {"PTC01": 800.0, "PTC02_590": 590.0}
    tiles = given.measured["pair_tiles"]
    assert dict(tiles.group_by("test").agg(pl.col("obsid_1").n_unique()).rows()) == {"PTC01": 5, "PTC02_590": 12}
    assert tiles["acquisition"].n_unique() == 2
    sources = {acquisition(lake, "PTC01"), acquisition(lake, "PTC02_590")}
    rows = read_run_table(lake, outcome.run_id, "run_inputs").filter(pl.col("kind") == "acquisition")
    assert set(rows["name"]) == sources
    assert len(part_files(lake, "pair_tiles")) == 2
    assert work(lake, "PTC_JOINT", partial=True)[0].action == "up_to_date"


def test_what_is_missing_is_said(lake, shared_frames):
    (outcome,) = work(lake, "BF01_730")
    assert outcome.action == "skipped"
    assert outcome.reasons == ("uses the frames of PTC02_730; the block has no acquisition of PTC02_730",)


def test_exclusions(lake, shared_frames):
    work(lake)
    first = read(lake, "acquisitions").filter(pl.col("test") == "PTC01")["obsid_first"][0]
    exclude(lake, BLOCK, (first, first), "CCD2", "E", "bad column")
    exclude(lake, BLOCK, (first + 2, first + 2), "CCD1", None, "cosmic shower")
    states = dict(status_table(lake, [BLOCK], "MOT").select("test", "state").iter_rows())
    assert states["PTC01"] == states["MOT_FF"] == "stale"
    # its source alone does not make a test of another campaign acquired
    assert "BF01" not in states
    (outcome,) = work(lake, "MOT_FF")
    assert (outcome.n_measured, outcome.n_kept) == (0, 14)
    points = read_run_table(lake, outcome.run_id, "covariances").filter(pl.col("n_pairs") > 0)
    assert points.filter((pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "E")).height == 4
    assert points.filter(pl.col("ccd") == "CCD1").height == 4 * 4
    assert set(shared_frames[-1].statistics.filter(pl.col("obsid") == first + 2)["ccd"]) == {"CCD2", "CCD3"}
    assert work(lake, "PTC01")[0].n_measured == 0


def test_trials_write_nothing_to_the_lake(lake, shared_frames):
    work(lake)
    before = parts(lake)
    (trial,) = work(lake, "MOT_FF", settings=("clip_sigma=4",))
    assert (trial.action, trial.n_measured) == ("stored", 15)
    first = read(lake, "acquisitions").filter(pl.col("test") == "PTC01")["obsid_first"][0]
    (trial,) = work(lake, "MOT_FF", obsids=(first, first + 3))
    assert shared_frames[-1].measured["pair_tiles"]["obsid_1"].n_unique() == 2
    assert parts(lake) == before
    assert {run["run_id"]: run["is_trial"] for run in list_runs(lake)}[trial.run_id]


def test_what_counts_is_the_same_in_lake_and_snapshot(lake, shared_frames):
    done = by_test(work(lake))
    publish(lake)
    with connect(lake.root) as connection:
        ids = dict(connection.sql("select test, run_id from runs where is_current").fetchall())
        assert connection.sql("select count(*) from every.covariances where test = 'MOT_FF'").fetchall() == [(60,)]
        inventory = connection.sql("select test from acquisitions where frames_of is not null order by 1").fetchall()
        page = gather(snapshot(connection), BLOCK, "MOT_FF")
    assert page.acquisition["acquisition"] == acquisition(lake, "MOT_FF")
    assert page.table("exposures")["obsid"].n_unique() == 10
    assert page.table("pair_tiles")["test"].unique().to_list() == ["PTC01"]
    assert ids == {test: outcome.run_id for test, outcome in done.items()}
    assert [name for (name,) in inventory] == ["BF01", "BF01_590", "MOT_FF", "PTC_JOINT"]
    assert adopt(lake, acquisition(lake, "MOT_FF"), "as before").startswith("BORN MOT_FF")
    adopt(lake, done["MOT_FF"].run_id, "as before")
    publish(lake)
    assert {"BF01_590", "MOT_FF"} <= set(table("covariances", lake.root)["test"])


def test_a_new_version_of_the_used_measurement_makes_the_user_stale(lake, shared_frames, monkeypatch):
    work(lake)
    real = registry.load("photon_transfer")
    newer = replace(real, measurements=(replace(real.measurements[0], version=99),))
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: newer if name == "photon_transfer" else load(name))
    for module in ("job", "sources", "unit_worker"):
        monkeypatch.setattr(f"vison_etl.pipeline.{module}.load", registry.load)
    (outcome,) = work(lake, "MOT_FF")
    version = real.measurements[0].version
    assert outcome.reasons == (
        f"recipe changed: effects.shared_frames.uses.photon_transfer.tiles.version: {version} -> 99",
    )
    # rows of the old version are of use to nobody
    assert outcome.n_measured == 15
    tiles = read(lake, "pair_tiles", block=BLOCK, test="PTC01")
    assert tiles["unit_key"].n_unique() == 15
    before = parts(lake)
    (source,) = work(lake, "PTC01")
    assert source.n_measured == 0
    assert parts(lake) == before


def test_the_effects_of_the_house_measure_once(lake):
    done = by_test(work(lake, "PTC01", "MOT_FF", "PTC02_590"))
    assert {o.action for o in done.values()} == {"stored"}
    # of the five columns of three CCDs one pair each is corrected; covariances were measured before
    assert done["MOT_FF"].n_measured == 15
    (joint,) = work(lake, "PTC_JOINT", partial=True)
    assert (joint.action, joint.n_measured) == ("stored", 0)
    assert work(lake, "PTC_JOINT", partial=True)[0].action == "up_to_date"
