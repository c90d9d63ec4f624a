"""Every fault of a functional check is found where it is, and nothing else is claimed."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from tests.effects.functional.warm_truth import NAMES, failures, fault, found, given, with_gain
from vison_etl.effects.functional.effect import EFFECT
from vison_etl.effects.functional.rules import checks, frame_rules
from vison_etl.tables import CCDS, QUADRANTS, table

RUN = {"run_id", "block", "test", "acquisition"}
OF_PIXELS = {"offset", "offset_gradient", "noise"}


@pytest.fixture(scope="module")
def whole():
    return found()


def test_a_whole_block_is_go(whole):
    rows = whole.tables["functional_checks"]
    assert failures(whole) == set()
    assert whole.flags[0].name == "FUNCTION_NOT_DONE"  # two CCDs of the three were not simulated
    mine = rows.filter(ccd="CCD1")
    assert mine.height == 4 * len(checks())
    undone = mine.filter(verdict="not_done")
    assert undone.select("check_name", "quadrant").rows() == [("injection", "G"), ("injection", "H")]
    assert set(undone["reason"]) == {"the drain delay selects quadrants E and F"}
    assert whole.tables["bit_statistics"].height == 4 * 16


def test_every_check_has_a_row_for_every_channel(whole):
    rows = whole.tables["functional_checks"]
    assert rows.columns == [c for c in table("functional_checks").names if c not in RUN]
    wanted = {(c.name, ccd, q) for c in checks() for ccd in CCDS for q in QUADRANTS}
    assert set(rows.select("check_name", "ccd", "quadrant").rows()) == wanted
    absent = rows.filter(pl.col("ccd") != "CCD1")
    assert set(absent["verdict"]) == {"not_done"}
    assert absent["reason"].str.starts_with("no exposure with ").all()


def test_the_tables_say_what_was_seen(whole):
    levels = whole.tables["mode_levels"]
    assert set(levels["rdmode"]) == {"rwd_bas_vs", "rwd_bas_v", "fwd_bas"}
    reverse = levels.filter(rdmode="rwd_bas_vs")
    assert reverse["noise_adu"].is_between(0.8, 1.44).all()
    assert levels.filter(rdmode="fwd_bas", region="img")["noise_adu"].min() > 5  # shot noise of the ramp
    ramp = whole.tables["warm_ramp"].filter(ccd="CCD1")
    assert ramp["status"].to_list() == ["ok"] * 4
    assert (ramp["chi2"] / ramp["dof"]).max() < 1.6
    assert ramp["obsid_base"].to_list() == [17002] * 4
    assert ramp["slope_e_per_row"].null_count() == 4
    curve = whole.tables["warm_ramp_curve"]
    assert (curve["nl_pct"].abs() < 5 * curve["nl_pct_err"] + 0.2).all()


@pytest.mark.parametrize(
    ("kind", "frames", "wanted"),
    [
        ("dead_quadrant", NAMES, {"ramp", "injection", "flat", "spots"} | OF_PIXELS),
        ("noisy", ["reverse_all"], {"noise"}),
        ("noisy", ["ramp"], {"noise"}),
        ("no_injection", ["injection"], {"injection"}),
        ("source_off", ["flat"], {"flat"}),
        ("source_off", ["590"], {"spots"}),
        ("wrong_source", ["flat"], {"flat"}),
        ("stuck_bit", ["ramp"], {"bits_stuck"}),
    ],
)
def test_a_fault_is_found_and_nothing_else_claimed(kind, frames, wanted):
    result = found(faults=fault(kind, frames))
    of_all = {"no_injection", "source_off", "wrong_source"}
    hit = set("EF" if kind == "no_injection" else QUADRANTS if kind in of_all else "F")
    bad = failures(result)
    assert {quadrant for _, _, quadrant in bad} == hit
    assert {quantity_of(name) for name, _, _ in bad} <= wanted
    main = wanted - OF_PIXELS or wanted
    assert {(quantity_of(n), q) for n, _, q in bad} >= {(name, q) for name in main for q in hit}
    if frames != NAMES:
        named = {"reverse_all": "reverse_all", "ramp": "ramp"}.get(frames[0], "")
        assert all(named in name for name, _, _ in bad if quantity_of(name) == "noise")
    if kind == "source_off" and frames == ["590"]:
        assert {name for name, _, _ in bad} == {"spots_590"}


def quantity_of(name):
    known = ("offset_gradient", "offset", "noise", "bits_stuck", "bits_coupled")
    return next((quantity for quantity in known if name.startswith(quantity)), name.split("_")[0])


def test_a_stuck_bit_is_named_in_every_frame_it_sits_in():
    result = found(faults=fault("stuck_bit"))
    row = (
        result.tables["functional_checks"].filter(check_name="bits_stuck", ccd="CCD1", quadrant="F").row(0, named=True)
    )
    assert row["value"] == 1.0
    assert row["reason"].startswith("bits 4;")
    states = result.tables["bit_statistics"].filter(ccd="CCD1").filter(pl.col("state") == "stuck")
    assert states.select("quadrant", "bit", "frequency").rows() == [("F", 4, 1.0)]
    assert {quadrant for _, _, quadrant in failures(result)} == {"F"}


def test_a_coupled_bit_is_found():
    from tests.effects.functional.warm_truth import OBSIDS

    inputs = given(7)
    bits = inputs.measured["functional_bits"]
    mine = (pl.col("obsid") == OBSIDS["ramp"]) & (pl.col("quadrant") == "G") & pl.col("bit").is_in([2, 5])
    together = pl.when(mine).then(0.99).otherwise(pl.col("partner_correlation")).alias("partner_correlation")
    measured = {**inputs.measured, "functional_bits": bits.with_columns(together)}
    bad = failures(EFFECT.calibrate(dataclasses.replace(inputs, measured=measured)))
    assert bad == {("bits_coupled", "CCD1", "G")}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_frame_is_not_done_with_a_reason(name, whole):
    result = found(without=[name])
    rows = result.tables["functional_checks"].filter(ccd="CCD1")
    before = whole.tables["functional_checks"].filter(ccd="CCD1")
    new = rows.join(before, on=["check_name", "ccd", "quadrant"]).filter(
        (pl.col("verdict") == "not_done") & (pl.col("verdict_right") != "not_done")
    )
    rule = name if name in {r.name for r in frame_rules()} else "point"
    concerned = {c.name for c in checks() if c.frame == rule and c.label in {None, name}}
    more = {"flat"} if name == "ramp" else set()
    assert set(new["check_name"]) == concerned | more
    assert new["reason"].null_count() == 0
    assert failures(result) == set()
    assert "FUNCTION_NOT_DONE" in {flag.name for flag in result.flags}


def test_frames_are_known_by_what_the_log_says_not_by_their_place(whole):
    inputs = given(7)
    backwards = {obsid: 17100 - obsid for obsid in inputs.exposures["obsid"].unique()}
    turned = pl.col("obsid").replace_strict(backwards)
    other = dataclasses.replace(
        inputs,
        exposures=inputs.exposures.with_columns(turned),
        statistics=inputs.statistics.with_columns(turned),
        measured={name: frame.with_columns(turned) for name, frame in inputs.measured.items()},
    )
    one, two = (r.tables["functional_checks"].drop("obsid", "reason") for r in (whole, EFFECT.calibrate(other)))
    assert one.equals(two)


def test_without_the_reverse_frame_the_ramp_says_what_was_not_taken_off():
    row = found(without=["reverse_columns"]).tables["functional_checks"].filter(check_name="ramp", quadrant="E")
    assert "not taken off" in row["reason"][0]


def test_electrons_come_from_a_gain():
    result = EFFECT.calibrate(with_gain(given(7), 3.0))
    ramp = result.tables["warm_ramp"].filter(ccd="CCD1")
    assert "NO_GAIN" not in {flag.name for flag in result.flags}
    assert ramp["slope_e_per_row"].to_list() == pytest.approx((3.0 * ramp["slope_adu_per_row"]).to_list())
    assert (ramp["slope_e_per_row_err"] >= 0.01 * ramp["slope_e_per_row"]).all()


def test_structured_stray_light_is_said_to_break_the_curve():
    inputs = given(7)
    rows = inputs.measured["functional_rows"]
    bump = 60.0 * (-((pl.col("y") - 120.0) / 20.0).pow(2)).exp()
    is_ramp = (pl.col("obsid") == 17003) & (pl.col("quadrant") == "H")
    stray = rows.with_columns(
        pl.when(is_ramp).then(pl.col("level_adu") + bump).otherwise("level_adu").alias("level_adu")
    )
    result = EFFECT.calibrate(dataclasses.replace(inputs, measured={**inputs.measured, "functional_rows": stray}))
    row = result.tables["functional_checks"].filter(check_name="ramp", ccd="CCD1", quadrant="H").row(0, named=True)
    assert "bent" in row["reason"]
    assert row["verdict"] == "go"
    other = result.tables["functional_checks"].filter(check_name="ramp", ccd="CCD1", quadrant="E")
    assert "bent" not in other["reason"][0]
