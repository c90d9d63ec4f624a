"""Closure of what the covariance fit keeps where charge spills early: in the whole channel, or in one tile of it.

Tiles and covariances belong together: what spills in the tiles is in the covariances, which are means over the quadrant.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.closure.covariance_fit_truth import FULL_SCALE
from tests.closure.low_wells import TRUTH, TWELVE, low_channels
from tests.closure.ptc_truth import PTC01, PTC02, TILES
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input
from tests.pulls import assert_pulls
from vison_etl.effects.photon_transfer import selection
from vison_etl.effects.photon_transfer.effect import EFFECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Tables = dict[str, pl.DataFrame]


def analysed(seed: int, wells: np.ndarray, plan: dict[float, int], **options: float) -> tuple[pl.DataFrame, Tables]:
    """Return the covariance rows of ``gain`` with the levels used, ``n_levels`` and ``top_adu``, and the truth, ``well_adu``; and all tables."""
    measured = low_channels(seed, wells, plan, **options)
    tables = EFFECT.calibrate(replace(calibration_input(measured["pair_tiles"]), measured=measured)).tables
    levels = (
        tables["covariances"]
        .filter(pl.col("used"), lag_x=0, lag_y=0)
        .group_by("ccd", "quadrant")
        .agg(n_levels=pl.len().cast(pl.Int64), top_adu=pl.col("mean_adu").max())
    )
    truth = pl.DataFrame(CHANNELS, schema=["ccd", "quadrant"], orient="row").head(len(wells))
    truth = truth.with_columns(well_adu=pl.Series(wells.min(axis=1)))
    rows = tables["gain"].filter(model="covariance").join(truth, on=["ccd", "quadrant"])
    return rows.join(levels, on=["ccd", "quadrant"], how="left", maintain_order="left"), dict(tables)


def blocks(seed: int, n: int, low: float, high: float, plan: dict[float, int]) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    wells = rng.uniform(low, high, (n, 12, 1)) * FULL_SCALE
    falls = rng.choice([3000.0, 8000.0], n)
    parts = [analysed(seed + k, wells[k], plan, fall_adu=falls[k])[0] for k in range(n)]
    return pl.concat(parts)


def bias(rows: pl.DataFrame) -> tuple[float, float]:
    off = rows["gain_e_per_adu"].to_numpy() / TRUTH.gain - 1.0
    return float(off.mean()), float(off.std() / np.sqrt(off.size))


@pytest.mark.parametrize("n_blocks", [1, pytest.param(10, marks=pytest.mark.lengthy)])
def test_all_levels_below_a_low_well_count(n_blocks: int) -> None:
    """Full wells of 40 to 60 % of the range: every level whose tiles are all below it counts, none above it does."""
    rows = blocks(900, n_blocks, 0.40, 0.60, TWELVE)
    assert rows["status"].unique().to_list() == ["ok"]
    assert rows["is_adopted"].mean() > 0.98
    assert (rows["top_adu"] < rows["well_adu"]).all()
    levels = np.array(list(TWELVE)) * FULL_SCALE
    # tiles are +-5 % bright and exposures jitter by 1 %
    below = np.sum(1.08 * levels < rows["well_adu"].to_numpy()[:, None], axis=1)
    assert np.mean(rows["n_levels"].to_numpy() >= below) > 0.95
    assert below.min() >= 10 - 1
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], TRUTH.gain)
    value, error = bias(rows)
    if n_blocks > 1:
        assert error < 5e-4 / 3
        assert abs(value) + 3.3 * error < 5e-4


@pytest.mark.lengthy
def test_a_well_at_the_edge_of_a_level_does_no_harm() -> None:
    """The brightest tiles of a level at 38 % reach the full well or just do not."""
    rows = blocks(930, 12, 0.38, 0.42, TWELVE)
    assert rows["status"].unique().to_list() == ["ok"]
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], TRUTH.gain)
    value, error = bias(rows)
    assert abs(value) + 3.3 * error < 5e-4


@pytest.mark.lengthy
def test_three_levels_are_enough() -> None:
    """Six levels, of which three are below: all three count, and carry a fit with c = 0."""
    rows = blocks(950, 5, 0.55, 0.65, PTC02)
    rows, all_rows = rows.filter(status="ok"), rows
    # one in twenty has a bin that is doubtful by chance
    assert rows.height > 0.9 * all_rows.height
    assert rows["n_levels"].unique().to_list() == [3]
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], TRUTH.gain)


def one_bad_tile(seed: int, **options: int) -> tuple[pl.DataFrame, list[Tables]]:
    """Return blocks whose channels have one corner tile with a well of 25 to 50 %, the rest beyond the ADC."""
    rng = np.random.default_rng(seed)
    rows, tables = [], []
    for k, fall_adu in enumerate((3e3, 3e4)):
        wells = np.full((12, TILES), 9e4)
        wells[:, 5] = rng.uniform(0.25, 0.50, 12) * FULL_SCALE
        mine, more = analysed(seed + k, wells, PTC01, fall_adu=fall_adu, **options)
        rows.append(mine)
        tables.append(more)
    return pl.concat(rows), tables


def test_a_bad_tile_takes_nothing_from_the_rest() -> None:
    """Its cells were left out when the covariances were measured: all eight levels below the ADC count."""
    rows, tables = one_bad_tile(970, cells_out=2)
    assert rows["status"].unique().to_list() == ["ok"]
    assert rows["is_adopted"].all()
    assert rows["n_levels"].unique().to_list() == [8]
    # the turn-off of the channel is that of its other tiles
    assert rows["turnoff_adu"].null_count() == rows.height
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], TRUTH.gain)
    for found in tables:
        of_tiles = found["turnoff_tiles"]
        assert of_tiles.filter(tile=5)["status"].unique().to_list() == ["ok"]
        assert of_tiles.filter(pl.col("tile") != 5)["status"].unique().to_list() == ["bound"]
        exponential = found["gain"].filter(model="exponential")
        assert exponential["fit_max_adu"].min() > 0.75 * FULL_SCALE


@pytest.mark.lengthy
def test_covariances_with_a_bad_tile_in_them_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured without leaving cells out, pairs with a tile that spills do not count; if they did, the gain would be wrong."""
    rows, _ = one_bad_tile(990)
    assert rows["status"].unique().to_list() == ["ok"]
    # the bad tile may be 5 % fainter than the mean over the quadrant
    assert (rows["top_adu"] < 1.07 * rows["well_adu"]).all()
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], TRUTH.gain)
    monkeypatch.setattr(selection, "weak_points", lambda tiles, *_, **__: np.zeros(tiles.level.size, bool))
    wrong, _ = one_bad_tile(990)
    pulls = (wrong["gain_e_per_adu"] - TRUTH.gain) / wrong["gain_e_per_adu_err"]
    assert (pulls**2).mean() > 9.0
