"""Flags: each is raised by something that its row names, and one deliberately broken data set raises each of those of checks."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.campaign.checked import Data, clean
from tests.campaign.synthetic import Bench
from vison_etl.campaign.limits import flag_table, limits

PACKAGE = Path(__file__).parents[2] / "vison_etl"


def words_of(folder: Path) -> set[str]:
    """Return every text in capitals that stands in the code of a folder."""
    return {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper()
    }


def test_every_flag_is_raised_by_what_its_row_says():
    of_limits = {flag for limit in limits() for flag in limit.flags}
    found = {
        "limits": of_limits,
        "checks": words_of(PACKAGE / "campaign"),
        "analysis": words_of(PACKAGE / "effects") | words_of(PACKAGE / "pipeline"),
    }
    for name, info in flag_table().items():
        if info.raised_by == "nothing":
            assert info.instead
            assert not any(name in names for names in found.values())
        else:
            assert name in found[info.raised_by]
    assert of_limits <= set(flag_table())


def img(data: Data, column: str, factor: float = 1.0, plus: float = 0.0, **keys: object) -> Data:
    where = data.where(region="img", **keys)
    new = pl.col(column) * factor + plus
    data.statistics = data.statistics.with_columns(pl.when(where).then(new).otherwise(column).alias(column))
    return data


def dark(data: Data, obsids: list[int]) -> Data:
    """Make exposures dark: every image as its overscan."""
    img_rows = (pl.col("region") == "img") & pl.col("obsid").is_in(obsids)
    offset = pl.col("mean_adu").filter(pl.col("region") == "ove").first().over("obsid", "ccd", "quadrant")
    changes = {"mean_adu": offset, "max_adu": offset + 8, "std_adu": pl.lit(1.2), "clipped_std_adu": pl.lit(1.2)}
    data.statistics = data.statistics.with_columns(
        pl.when(img_rows).then(new).otherwise(name).alias(name) for name, new in changes.items()
    )
    return data


def wrong_filter() -> Data:
    bench = Bench().run("PTC02_730", range(20)).run("PTC02_730", range(20, 24), change={"wave": 2})
    return clean("PTC02_730", bench)


def all_zero(data: Data) -> Data:
    lost = pl.col("obsid") == 1003
    data.statistics = data.statistics.with_columns(
        pl.when(lost).then("n").otherwise("n_zero").alias("n_zero"),
        pl.when(lost).then(0).otherwise("n").alias("n"),
        *(pl.when(~lost).then(name).alias(name) for name in ("mean_adu", "clipped_std_adu", "std_adu", "max_adu")),
    )
    return data


BROKEN: dict[str, tuple[Callable[[], Data], set[str]]] = {
    "MISSDATA": (lambda: clean("BIAS01", Bench().run("BIAS01", range(9))), set()),
    "POORQUALDATA": (lambda: clean("DARK01").spoil("mean_adu", 2600.0, obsid=1001, ccd="CCD1", quadrant="E", region="pre"),
                     set()),
    "BADDATA": (lambda: all_zero(clean("BIAS01")), {"POORQUALDATA", "RON_OOL", "LOSTPIXELS"}),
    "WRONGTEST": (lambda: clean("BIAS02", Bench().run("BIAS01", change={"test_in_log": "BIAS02"})),
                  {"MISSDATA", "WRONG_ROE_CONF"}),
    "WRONG_ROE_CONF": (lambda: clean("FLAT_STB", Bench().run("FLAT_STB", change={"od_2_t_v": 26.5})),
                       {"MISSDATA"}),
    "SOURCEON": (lambda: img(clean("COSMETICS00"), "mean_adu", plus=900.0, obsid=1002), {"POORQUALDATA"}),
    "SOURCEOFF": (lambda: dark(clean("FLAT01"), [1003]), {"POORQUALDATA", "FLUENCE_OOL"}),
    "WRONGSOURCE": (wrong_filter, {"MISSDATA"}),
    "HK_OOL": (lambda: clean("NL01").spoil_hk("max", 40.5, obsid=1004, key="RPSU_TEMP1"), set()),
    "CCDTEMP_OOL": (lambda: clean("PSF02_158K").spoil_hk("max", -113.9, obsid=1004, key="CCD3_TEMP_T"), {"HK_OOL"}),
    "DEADCCD": (lambda: img(clean("PTC01").spoil("clipped_std_adu", 0.0, ccd="CCD2"), "mean_adu"),
                {"POORQUALDATA", "RON_OOL", "DEADQUAD"}),
    "DEADQUAD": (lambda: clean("TP11").spoil("clipped_std_adu", 0.0, ccd="CCD2", quadrant="G", region="pre"),
                 {"POORQUALDATA", "RON_OOL"}),
    "RON_OOL": (lambda: clean("CHINJ01").spoil("clipped_std_adu", 1.6, obsid=1003, ccd="CCD1", quadrant="E", region="ove"),
                {"POORQUALDATA"}),
    "FLUENCE_OOL": (lambda: img(clean("NL02"), "mean_adu", plus=3000.0, obsid=1040, ccd="CCD1", quadrant="H"),
                    {"POORQUALDATA"}),
    "FLUENCEGRAD_OOL": (lambda: img(clean("TP01"), "clipped_std_adu", 10.0, obsid=1003, ccd="CCD1", quadrant="E"),
                        {"POORQUALDATA"}),
    "FOCUS_OOL": (lambda: img(clean("PSF01_800"), "std_adu", 2.0, obsid=1040, ccd="CCD1", quadrant="E"), {"POORQUALDATA"}),
    "BGD_OOL": (lambda: img(clean("NL02_155R"), "mean_adu", plus=30.0, obsid=1001, ccd="CCD1", quadrant="E"),
                {"POORQUALDATA"}),
    "CCDSATUR": (lambda: img(clean("FLAT02_590"), "n_saturated", plus=20000, obsid=1003, ccd="CCD3"),
                 {"POORQUALDATA", "FLUENCE_OOL", "SATURATION"}),
    "FLUX_OOL": (lambda: img(clean("PSFLUX00_590"), "max_adu", plus=30_000.0, ccd="CCD1", quadrant="E"),
                 {"POORQUALDATA", "FLUENCE_OOL", "FOCUS_OOL"}),
    "STARS_MISSING": (lambda: img(clean("FOCUS00_590"), "max_adu", 0.0, plus=2800.0, obsid=1003, ccd="CCD1", quadrant="E"),
                      {"POORQUALDATA", "FOCUS_OOL"}),
    "SATURATION": (lambda: img(clean("CHINJ02"), "n_saturated", plus=9000, obsid=1003, ccd="CCD1", quadrant="F"),
                   {"POORQUALDATA"}),
    "LOSTPIXELS": (lambda: clean("MOT_WARM").spoil("n_zero", 4, obsid=1003, ccd="CCD1", quadrant="E", region="img"), set()),
    "NONSATURATION": (lambda: img(clean("PERSIST01"), "n_saturated", 0.0, obsid=1008, ccd="CCD1", quadrant="E"),
                      {"POORQUALDATA"}),
}  # fmt: skip


def test_every_flag_of_limits_is_broken_here_once():
    context = {"HK_MISSING", "BLOCK_UNKNOWN", "BLOCK_CONFLICT", "CHAMBER_UNKNOWN"}
    raised = {name for name, info in flag_table().items() if info.raised_by in {"limits", "checks"}}
    assert raised - context == set(BROKEN)


@pytest.mark.parametrize("flag", BROKEN)
def test_a_broken_data_set_raises_its_flag_and_what_follows_from_it(flag):
    spoilt, others = BROKEN[flag]
    rows, flags = spoilt().check()
    assert set(flags) == {flag, *others}
    assert flags[flag].n >= 1
    assert not rows["pass"].all()


def test_flats_under_the_point_source_and_spots_under_the_flat_are_of_the_wrong_source():
    flat = dark(clean("FLAT_STB"), [1004])
    flat = img(flat, "max_adu", plus=15_000.0, obsid=1004)
    assert set(flat.check()[1]) == {"POORQUALDATA", "FLUENCE_OOL", "WRONGSOURCE"}
    spots = img(clean("PSF01_590"), "mean_adu", plus=9000.0, obsid=1040)
    assert set(spots.check()[1]) == {"POORQUALDATA", "BGD_OOL", "WRONGSOURCE"}
    unlit = dark(clean("PSF01_590"), [1040])
    assert {"SOURCEOFF", "STARS_MISSING"} <= set(unlit.check()[1])


def test_another_source_in_the_log_of_commanded_exposures():
    bench = Bench().run("BIAS01", change={"wave": 3})
    rows, flags = clean("BIAS01", bench).check()
    assert set(flags) == {"MISSDATA", "WRONGSOURCE"}
    assert rows.filter(~pl.col("pass"))["metric"].to_list() == ["command_wave"]


def test_frames_of_another_test_are_named():
    data = clean("BIAS02", Bench().run("BIAS01", change={"test_in_log": "BIAS02"}))
    assert data.check()[1]["WRONGTEST"].detail == "frames_of_BIAS01 10 is outside [0, 0] (frames_of_other)"
    few = Bench().run("BIAS02", range(7)).run("BIAS01", range(7, 10), change={"test_in_log": "BIAS02"})
    assert "WRONGTEST" not in clean("BIAS02", few).check()[1]


def test_an_unknown_chamber_raises_nothing_else():
    for test in ("PSF01_800", "FOCUS00_730", "PERSIST01", "NL02", "TP11", "MOT_WARM"):
        assert set(clean(test, Bench(chamber_name=None).run(test)).check()[1]) == {"CHAMBER_UNKNOWN"}
