"""Data checks: clean data raise nothing, and each thing broken raises its flag and names the worst offender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from tests.campaign.checked import Data, clean
from tests.campaign.synthetic import Bench, acquirable
from vison_etl.campaign.checks import checks_digest
from vison_etl.tables import table


@pytest.mark.parametrize("test", acquirable())
def test_clean_data_raise_nothing(test):
    rows, flags = clean(test).check()
    assert flags == {}
    assert rows["pass"].all()
    wanted = [c.name for c in table("compliance").columns if c.name not in {"run_id", "block", "test", "acquisition"}]
    assert rows.columns == wanted
    assert rows["check_id"].to_list() == list(range(rows.height))


def test_clean_data_as_acquired_raise_nothing():
    data = clean("FLATFLUX00_590", Bench().run("FLATFLUX00_590", variant="as_acquired"))
    rows, flags = data.check()
    assert flags == {}
    fluence = rows.filter(pl.col("metric") == "fluence_adu")
    assert fluence["lo"].min() == pytest.approx(0.9 * 65536 * (1.2 + 0.0301) / 12.4, rel=1e-2)


@pytest.mark.parametrize(
    ("spoil", "flags", "metric", "rule"),
    [
        (lambda d: d.spoil("mean_adu", 2711.0, obsid=1003, ccd="CCD1", quadrant="E", region="img"),
         {"POORQUALDATA"}, "offset_gradient_adu", "offset_gradient.img"),
        (lambda d: d.spoil("mean_adu", None, obsid=1003, ccd="CCD1", quadrant="E", region="ove"),
         {"POORQUALDATA"}, "offset_adu", "offset.ove"),
        (lambda d: d.spoil("clipped_std_adu", 1.5, obsid=1003, ccd="CCD1", quadrant="E", region="pre"),
         {"POORQUALDATA", "RON_OOL"}, "std_adu", "std.pre"),
        (lambda d: d.spoil("clipped_std_adu", float("nan"), obsid=1003, ccd="CCD1", quadrant="E", region="img"),
         {"POORQUALDATA", "RON_OOL"}, "std_adu", "std.img"),
        (lambda d: d.spoil("n_zero", 3, obsid=1003, ccd="CCD1", quadrant="E", region="img"),
         {"LOSTPIXELS"}, "lost_pixels", "lost_pixels"),
        (lambda d: d.spoil("n_saturated", 9000, obsid=1003, ccd="CCD1", quadrant="E", region="img"),
         {"POORQUALDATA", "SATURATION"}, "saturated_fraction", "saturated_fraction"),
    ],
)  # fmt: skip
def test_one_bad_region_of_a_bias(spoil, flags, metric, rule):
    rows, raised = spoil(clean("BIAS01")).check()
    assert set(raised) == flags
    failed = rows.filter(~pl.col("pass"))
    assert (metric, rule) in failed.select("metric", "rule").rows()
    assert set(failed.select("obsid", "ccd", "quadrant").rows()) == {(1003, "CCD1", "E")}
    for flag in raised.values():
        assert flag.n == failed.height
        assert "(CCD1, E, col001, obsid 1003, " in flag.detail


def test_the_worst_offender_is_named_and_intervals_are_closed():
    data = clean("BIAS01")
    base = data.statistics.filter(data.where(obsid=1000, ccd="CCD1", quadrant="E", region="pre"))["mean_adu"][0] - 5
    for obsid, above in ((1001, 50.0), (1002, 51.0), (1003, 58.0), (1004, -50.0)):
        for region in ("pre", "img", "ove"):
            data.spoil("mean_adu", base + above, obsid=obsid, ccd="CCD1", quadrant="E", region=region)
    rows, flags = data.check()
    assert set(rows.filter(~pl.col("pass"))["obsid"]) == {1002, 1003}
    assert flags["POORQUALDATA"].n == 6
    edges = f"[{base - 50:.6g}, {base + 50:.6g}]"
    assert flags["POORQUALDATA"].detail == (
        f"offset_adu {base + 58:.6g} is outside {edges} (CCD1, E, col001, obsid 1003, offset.img)"
    )


def test_a_block_without_a_table_has_no_limit_of_the_offset():
    bench = Bench(block="UNKNOWN").run("BIAS01")
    for row in bench.rows:
        row["block_source"] = "unknown"
    rows, flags = clean("BIAS01", bench).check()
    assert set(flags) == {"BLOCK_UNKNOWN"}
    assert flags["BLOCK_UNKNOWN"].n == 10
    assert rows.filter(pl.col("rule").str.starts_with("offset.")).is_empty()


def test_a_block_given_against_its_serials():
    bench = Bench().run("BIAS01")
    for row in bench.rows:
        row["block_source"] = "option_over_serials"
    assert set(clean("BIAS01", bench).check()[1]) == {"BLOCK_CONFLICT"}


def test_an_unknown_chamber_leaves_light_unchecked():
    data = clean("PTC02_730", Bench(chamber_name=None).run("PTC02_730"))
    rows, flags = data.check()
    assert set(flags) == {"CHAMBER_UNKNOWN"}
    assert rows.filter(pl.col("metric") == "fluence_adu").is_empty()


def test_missing_extra_and_wrong_exposures():
    short = clean("PTC01", Bench().run("PTC01", range(80)))
    assert set(short.check()[1]) == {"MISSDATA"}
    assert short.check()[1]["MISSDATA"].detail.startswith("exposures_found 80 is outside [92, 92]")
    extra = clean("BIAS01", Bench().run("BIAS01").run("BIAS01", [0]))
    assert extra.check()[1]["MISSDATA"].detail.startswith("exposures_extra 1 is outside [0, 0]")
    wrong = clean("BIAS01", Bench().run("BIAS01", range(6)).run("BIAS01", range(6, 10), change={"rdmode": "fwd_e2v"}))
    rows, flags = wrong.check()
    assert set(flags) == {"MISSDATA", "WRONG_ROE_CONF"}
    assert flags["MISSDATA"].detail == "command_rdmode 4 is outside [0, 0] (col001, obsid 1006, command_electronics)"
    assert "command_rd_t_v" in rows["metric"].to_list()


def test_keys_that_an_old_log_lacks_are_not_checked():
    bench = Bench().run("BIAS01", change={"rdmode": None, "swellw_us": None})
    rows, flags = clean("BIAS01", bench).check()
    assert flags == {}
    assert "command_rdmode" not in rows["metric"].to_list()


def test_fluence_of_one_exposure():
    data = clean("PTC01")
    level = data.statistics.filter(data.where(obsid=1035, ccd="CCD2", quadrant="G", region="img"))["mean_adu"][0]
    data.spoil("mean_adu", level * 1.2, obsid=1035, ccd="CCD2", quadrant="G", region="img")
    rows, flags = data.check()
    assert set(flags) == {"POORQUALDATA", "FLUENCE_OOL"}
    assert rows.filter(~pl.col("pass")).select("obsid", "script_column", "rule").rows() == [(1035, "col004", "fluence")]


def test_columns_that_saturate_by_design_raise_nothing_and_count_with_their_code():
    data = clean("PTC01")
    bright = data.exposures.filter(pl.col("script_column").is_in(["col009", "col010", "col011"]))["obsid"].unique()
    is_img = pl.col("obsid").is_in(bright.to_list()) & (pl.col("region") == "img")
    size = pl.col("n")
    data.statistics = data.statistics.with_columns(
        n_saturated=pl.when(is_img).then(size).otherwise(0),
        n=pl.when(is_img).then(0).otherwise(size),
        mean_adu=pl.when(is_img).then(None).otherwise("mean_adu"),
    )
    rows, flags = data.check()
    assert flags == {}
    top = rows.filter(pl.col("metric").eq("fluence_adu") & pl.col("script_column").eq("col011"))
    assert top["value"].min() > 62_000
    low = clean("PTC01").spoil("n_saturated", 60_000, obsid=1035, ccd="CCD2", quadrant="G", region="img")
    assert "SATURATION" in low.check()[1]


def test_noise_and_saturation_time_of_the_results():
    data = clean("PTC02_730")
    noise = pl.DataFrame(
        {"ccd": ["CCD1", "CCD1", "CCD2"], "quadrant": ["E", "F", "E"], "region": ["pre", "pov", "pre"],
         "ron_adu": [1.6, 9.0, None], "ron_adu_err": [0.01, 0.1, None], "status": ["ok", "ok", "failed"]}
    )  # fmt: skip
    light = pl.DataFrame(
        {"ccd": ["CCD1", "CCD3", "CCD3"], "quadrant": ["E", "H", "G"], "wavelength_nm": [730.0, 730.0, 730.0],
         "saturation_s": [3.6, 4.0, None], "saturation_s_err": [0.01, 0.01, None], "status": ["ok", "ok", "no_data"]}
    )  # fmt: skip
    data.results = {"readout_noise": noise, "light_source": light}
    rows, flags = data.check()
    assert set(flags) == {"POORQUALDATA", "RON_OOL", "FLUX_OOL"}
    assert flags["RON_OOL"].n == 2
    assert flags["RON_OOL"].detail == "ron_adu has no value (CCD2, E, ron.pre)"
    assert flags["FLUX_OOL"].detail == "saturation_s 4 is outside [3.21782, 3.93289] (CCD3, H, saturation_time)"
    assert rows.filter(pl.col("metric") == "saturation_s").height == 2


def kill(data: Data, **keys: Any) -> Data:
    return data.spoil("clipped_std_adu", 0.0, **keys)


@pytest.mark.parametrize(
    ("break_it", "more"),
    [
        (lambda d: kill(d, ccd="CCD2", quadrant="G"), set()),
        (lambda d: d.spoil("mean_adu", None, ccd="CCD2", quadrant="G"), set()),
        (lambda d: kill(d, ccd="CCD2"), {"DEADCCD"}),
    ],
)  # fmt: skip
def test_dead_channels(break_it: Callable[[Data], Data], more):
    _, flags = break_it(clean("BIAS01")).check()
    assert {"DEADQUAD", "POORQUALDATA"} | more <= set(flags)
    assert ("DEADCCD" in flags) == bool(more)


def test_a_channel_that_sees_no_light_is_dead():
    data = clean("PTC01")
    dark = data.statistics.filter(data.where(ccd="CCD3", quadrant="H", region="pre"))["mean_adu"][0]
    _, flags = data.spoil("mean_adu", dark, ccd="CCD3", quadrant="H", region="img").check()
    assert flags["DEADQUAD"].detail.startswith("channel_signal -")
    assert {"FLUENCE_OOL", "DEADQUAD"} <= set(flags)


def test_excluded_channels_are_not_checked():
    data = clean("BIAS01")
    data.statistics = data.statistics.filter(~data.where(ccd="CCD1", quadrant="E"))
    rows, flags = data.check()
    assert flags == {}
    assert rows.filter(data.where(ccd="CCD1", quadrant="E")).is_empty()


def test_the_digest_is_one_and_the_same():
    assert checks_digest() == checks_digest()
    assert len(checks_digest()) == 32
