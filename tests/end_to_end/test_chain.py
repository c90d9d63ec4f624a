import polars as pl
import pytest

from tests.end_to_end.campaign import assert_same, take, work
from tests.end_to_end.conftest import TESTS
from vison_etl.lake.parts import part_files, read
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import list_runs, read_run_table
from vison_etl.pipeline.decisions import DecisionError, adopt, exclude
from vison_etl.pipeline.status import status_table
from vison_etl.products.fits import read as read_product
from vison_etl.results.connect import connect, table
from vison_etl.results.publish import publish


def actions(outcomes):
    return {o.test: o.action for o in outcomes}


def newest(lake, test):
    return max((r for r in list_runs(lake) if r["test"] == test), key=lambda r: r["started_at"])


def test_a_second_run_finds_everything_up_to_date(lake):
    before = sorted((p, p.stat().st_mtime_ns) for p in lake.root.rglob("part-*.parquet"))
    assert actions(work(lake)) == dict.fromkeys((*TESTS, "BF01_730"), "up_to_date")
    assert sorted((p, p.stat().st_mtime_ns) for p in lake.root.rglob("part-*.parquet")) == before


def test_results_do_not_depend_on_where_the_work_runs(analysed, day, tmp_path):
    lake = Lake(tmp_path / "pool")
    take(lake, day.folder, jobs=2)
    work(lake, jobs=2)
    assert_same(analysed, lake)


def test_electrons_come_with_their_source(analysed):
    bias, ptc = newest(analysed, "BIAS01"), newest(analysed, "PTC02_730")
    inputs = read_run_table(analysed, bias["run_id"], "run_inputs").filter(pl.col("kind") == "gain")
    assert inputs["source_run_id"].to_list() == [ptc["run_id"]]
    noise = read_run_table(analysed, bias["run_id"], "readout_noise")
    gain = read_run_table(analysed, ptc["run_id"], "gain").filter("is_adopted")
    joined = noise.join(gain, on=["ccd", "quadrant"]).drop_nulls("ron_e")
    assert joined.height == noise.height > 0
    assert (joined["ron_e"] / (joined["ron_adu"] * joined["gain_e_per_adu"]) - 1).abs().max() < 1e-12


def test_without_a_gain_electrons_are_null_and_flagged(day, tmp_path):
    lake = Lake(tmp_path)
    take(lake, day.folder)
    (outcome,) = work(lake, "BIAS01")
    assert "NO_GAIN" in outcome.flags
    noise = read_run_table(lake, outcome.run_id, "readout_noise")
    assert noise["ron_e"].null_count() == noise.height > 0
    assert noise["ron_adu"].null_count() == 0


def test_master_bias_is_a_product_that_anybody_can_read(analysed):
    run = newest(analysed, "BIAS01")
    rows = read_run_table(analysed, run["run_id"], "products")
    assert rows["ccd"].to_list() == ["CCD1", "CCD2", "CCD3"]
    found = read_product(analysed.root / rows["path"][0])
    assert {"STACK", "SEM", "MASK"} <= set(found.extensions)
    assert found.cards["ACQUISIT"] == run["acquisition"]


def test_a_lost_product_is_made_again(lake):
    run = newest(lake, "BIAS01")
    path = lake.root / read_run_table(lake, run["run_id"], "products")["path"][0]
    content = path.read_bytes()
    path.unlink()
    (outcome,) = work(lake, "BIAS01", force=True)
    assert outcome.n_measured == 1
    assert path.read_bytes() == content


def test_exclusion_makes_stale_and_costs_only_the_units_it_touches(lake):
    first = newest(lake, "PTC02_730")["obsid_first"]
    exclude(lake, "BORN", (first, first), None, None, "cosmic shower")
    stale = status_table(lake, ["BORN"]).filter(pl.col("state") == "stale")
    assert stale["test"].to_list() == ["PTC02_730", "BF01_730"]
    (outcome,) = work(lake, "PTC02_730")
    assert outcome.action == "stored"
    # tiles and covariances of the pairs of three CCDs, edges of the frames
    assert outcome.n_kept == 2 * 3 * 10 + (72 - 3)
    for name in ("pair_tiles", "pair_covariances"):
        measured = read(lake, name, block="BORN", test="PTC02_730")
        assert measured.height > 0
        assert first not in measured["obsid_1"].to_list()


def test_covariances_and_tiles_of_a_pair_agree(analysed):
    pair = ["obsid_1", "obsid_2", "ccd", "quadrant"]
    covariances = read(analysed, "pair_covariances", block="BORN", test="PTC02_730")
    assert covariances.height == 12 * 3 * 4 * 145
    assert covariances.select(*pair, "lag_x", "lag_y").is_duplicated().sum() == 0
    tiles = read(analysed, "pair_tiles", block="BORN", test="PTC02_730").filter(pl.col("n_saturated") == 0)
    of_tiles = tiles.group_by(pair).agg(pl.col("variance_adu2", "mean_adu").mean(), pl.len().alias("n_tiles"))
    found = covariances.filter(lag_x=0, lag_y=0, n_saturated=0).join(of_tiles, on=pair, suffix="_of_tiles")
    # 10, 30 and 50 % of full scale, below the full well: the same pixels are used but for the last rows and columns
    found = found.filter((pl.col("n_tiles") == 36) & (pl.col("mean_adu") < 42_000))
    assert found.height == 3 * 2 * 12
    differ = (found["covariance_adu2"] - found["variance_adu2"]) / found["covariance_adu2_err"]
    assert differ.abs().max() < 1.0
    assert (found["mean_adu"] / found["mean_adu_of_tiles"] - 1).abs().max() < 3e-3


def test_excluded_channel_has_no_result(lake):
    first = newest(lake, "PTC02_730")["obsid_first"]
    exclude(lake, "BORN", (first, first + 23), "CCD2", "F", "bad amplifier")
    work(lake, "PTC02_730")
    gain = read_run_table(lake, newest(lake, "PTC02_730")["run_id"], "gain").filter(
        (pl.col("ccd") == "CCD2") & (pl.col("quadrant") == "F") & pl.col("is_adopted")
    )
    assert gain["status"].to_list() == ["no_data"]
    assert gain["gain_e_per_adu"].to_list() == [None]


def test_trials_are_stored_but_never_current_until_adopted(lake):
    before = table("gain", lake.root)
    (trial,) = work(lake, "PTC02_730", settings=("clip_sigma=4",))
    publish(lake)
    assert newest(lake, "PTC02_730")["is_trial"]
    assert table("gain", lake.root).equals(before)
    adopt(lake, trial.run_id, "rounder numbers")
    publish(lake)
    assert set(table("gain", lake.root)["run_id"]) == {trial.run_id}


def test_decisions_about_nothing_are_refused(lake):
    with pytest.raises(DecisionError, match="neither a run nor an acquisition"):
        adopt(lake, "BORN/PTC01/1", "why not")
    with pytest.raises(DecisionError, match="no exposure"):
        exclude(lake, "BORN", (1, 2), None, None, "why not")
    with pytest.raises(DecisionError, match="CCD1, CCD2, CCD3"):
        exclude(lake, "BORN", (17001, 17001), "CCD9", None, "why not")


def test_partial_acquisitions_wait_to_be_asked_for(day, tmp_path):
    lake = Lake(tmp_path / "lake")
    partial = tmp_path / "raw"
    partial.mkdir()
    for path in day.folder.iterdir():
        if f"_{day.obsid_last}_" not in path.name:
            (partial / path.name).symlink_to(path)
    assert take(lake, partial).exit_code == 1
    (outcome,) = work(lake, "FLATFLUX00_800")
    assert outcome.action == "partial"
    assert "3 of 4" in outcome.reasons[0]
    (outcome,) = work(lake, "FLATFLUX00_800", partial=True)
    assert outcome.action == "stored"
    assert "MISSDATA" in outcome.flags


def test_obsids_make_a_trial_of_those(lake):
    first = newest(lake, "PTC02_730")["obsid_first"]
    before = part_files(lake, "pair_tiles")[0].read_bytes()
    (outcome,) = work(lake, "PTC02_730", obsids=(first, first + 11))
    points = read_run_table(lake, outcome.run_id, "ptc_points")
    assert points["obsid_2"].max() == first + 11
    assert newest(lake, "PTC02_730")["is_trial"]
    assert part_files(lake, "pair_tiles")[0].read_bytes() == before


def test_a_changed_frame_is_noticed_before_it_is_measured(day, tmp_path):
    lake = Lake(tmp_path / "lake")
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in day.folder.iterdir():
        (raw / path.name).write_bytes(path.read_bytes())
    take(lake, raw)
    victim = next(raw.glob("EUC_17012_*CCD1.fits"))
    content = bytearray(victim.read_bytes())
    content[-100_000] ^= 1
    victim.write_bytes(content)
    (outcome,) = work(lake, "PTC02_730")
    assert "SUBTASKCRASH" in outcome.flags
    detail = read_run_table(lake, outcome.run_id, "flags").filter(pl.col("flag") == "SUBTASKCRASH")["detail"][0]
    assert victim.name in detail
    assert "ingest again" in detail


def test_snapshot_agrees_with_the_lake_on_what_is_current(analysed):
    with connect(analysed.root) as connection:
        ids = dict(connection.sql("select test, any_value(run_id) from compliance group by test").fetchall())
    assert ids == {test: newest(analysed, test)["run_id"] for test in TESTS}
