"""Closure of the map of the turn-off: the full well of every tile lies in its bracket, whatever it is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.closure.ptc_truth import PTC01, PTC02, TILES, FullWell, Physics, simulate_tiles
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input, tile_frame
from vison_etl.effects.photon_transfer.effect import EFFECT

SMALL_PX = 42 * 42
TOP_ADU = 65535 - 2700


def maps(
    seed: int,
    wells: np.ndarray,
    plan: dict[float, int],
    physics: Physics | None = None,
    *,
    n_px: int = 90_000,
    fall_adu: float = 8000,
) -> pl.DataFrame:
    """Return ``turnoff_tiles`` with the truth, ``well_adu``, for wells of shape (channels, 36)."""
    frames, truth = [], []
    pairs = sum(plan.values())
    for key, mine, rng in zip(CHANNELS, wells, np.random.default_rng(seed).spawn(len(wells)), strict=False):
        full_well = FullWell(np.tile(mine, pairs), fall_adu)
        found = simulate_tiles(rng, physics or Physics(), dict(plan), full_well=full_well, n_px=n_px)
        frames.append(tile_frame(key, found, n_px))
        names = {"ccd": key[0], "quadrant": key[1], "tile": np.arange(TILES)}
        truth.append(pl.DataFrame(names | {"well_adu": mine}))
    tables = EFFECT.calibrate(calibration_input(pl.concat(frames))).tables
    return tables["turnoff_tiles"].join(pl.concat(truth), on=["ccd", "quadrant", "tile"])


def assert_bracketed(rows: pl.DataFrame) -> None:
    found = rows.filter(pl.col("status") == "ok")
    wrong = rows.filter(
        (pl.col("turnoff_lower_adu") >= pl.col("well_adu")) | (pl.col("turnoff_upper_adu") <= pl.col("well_adu"))
    )
    assert wrong.is_empty(), wrong.head(3).rows()
    assert found.select(pl.col("turnoff_adu", "turnoff_upper_adu").null_count()).row(0) == (0, 0)
    assert found.select((pl.col("turnoff_adu") < pl.col("turnoff_upper_adu")).all()).item()
    missed = rows.filter(pl.col("status") == "bound")
    assert (
        missed.select(pl.col("turnoff_adu", "turnoff_adu_err", "turnoff_upper_adu").is_null().all()).row(0)
        == (True,) * 3
    )


@pytest.mark.parametrize("n_px", [90_000, SMALL_PX])
@pytest.mark.parametrize("plan", [PTC01, PTC02], ids=["PTC01", "PTC02"])
def test_every_full_well_is_in_its_bracket(plan: dict[float, int], n_px: int) -> None:
    """A well of its own for every channel, between 25 and 55 kADU, and a gradient and scatter of its tiles about it."""
    rng = np.random.default_rng(5)
    slope = 0.04 * (np.arange(TILES) // 6 - 2.5) / 2.5
    parts = []
    for seed in range(4):
        centre = rng.uniform(25e3, 55e3, (12, 1))
        wells = centre * (1 + slope + 0.02 * rng.standard_normal((12, TILES)))
        a00 = float(rng.choice([-1e-12, -1.5e-6, -3e-6]))
        parts.append(maps(seed, wells, plan, Physics(a00=a00), n_px=n_px, fall_adu=float(rng.choice([3000, 8000]))))
    rows = pl.concat(parts)
    assert rows.height == 4 * 12 * TILES
    assert_bracketed(rows)
    assert rows.filter(pl.col("status") == "ok").height > 0.9 * rows.height
    found = rows.filter((pl.col("status") == "ok") & pl.col("turnoff_lower_adu").is_not_null())
    assert found.height > 0.9 * rows.height
    error = (found["turnoff_adu"] - found["well_adu"]).abs() / found["turnoff_adu_err"]
    # uniform between levels: sqrt(3) at most, and the delay until a deficit can be told
    assert error.max() < 3.0


def test_weak_tiles_are_found_among_good_ones() -> None:
    """What a number for the channel cannot tell: six tiles of 36 with a low full well, the rest beyond the ADC."""
    wells = np.full((12, TILES), 9e4)
    wells[:, 7:13] = 42_000.0
    rows = maps(7, wells, PTC01)
    assert_bracketed(rows)
    weak = pl.col("well_adu") < 5e4
    assert rows.filter(weak)["status"].unique().to_list() == ["ok"]
    assert rows.filter(~weak)["status"].unique().to_list() == ["bound"]
    assert rows.filter(~weak)["turnoff_lower_adu"].min() > 46_000


@pytest.mark.parametrize("a00", [-1e-12, -1.5e-6, -3e-6])
@pytest.mark.parametrize("plan", [PTC01, PTC02], ids=["PTC01", "PTC02"])
def test_where_the_adc_ends_first_there_is_a_lower_bound(plan: dict[float, int], a00: float) -> None:
    rows = pl.concat([maps(seed, np.full((12, TILES), 9e4), plan, Physics(a00=a00)) for seed in range(11, 14)])
    assert rows["status"].unique().to_list() == ["bound"]
    assert rows["turnoff_lower_adu"].null_count() == 0
    assert rows["turnoff_lower_adu"].max() < TOP_ADU
    # the last level below the ADC is 80 or 90 % of full scale, +-5 % over the tiles; a doubtful level in a hundred
    assert rows.filter(pl.col("turnoff_lower_adu") < 0.7 * 65536).height < 0.01 * rows.height


def test_places_and_names() -> None:
    rows = maps(15, np.full((12, TILES), 46_000.0), PTC02)
    assert rows.height == 12 * TILES
    assert rows.select("ccd", "quadrant", "tile").is_duplicated().sum() == 0
    assert set(rows["width_px"]) == set(rows["height_px"]) == {300}
    assert rows.filter(tile=7).select("x", "y").unique().rows() == [(351, 300)]
