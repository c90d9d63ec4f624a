from __future__ import annotations

import numpy as np

from tests.closure.ptc_truth import PTC02, TILES, FullWell, Physics, simulate_tiles
from tests.effects.photon_transfer.ptc_frames import CHANNELS, calibration_input, tile_frame
from vison_etl.effects.photon_transfer.inputs import channels_of, tiles_of_used_frames
from vison_etl.effects.photon_transfer.model import Points
from vison_etl.effects.photon_transfer.tiles import Tiles
from vison_etl.effects.photon_transfer.weak_tiles import weak_points


def channel(wells: np.ndarray, fall_adu: float = 8000.0) -> tuple[Tiles, Points, np.ndarray]:
    well = FullWell(np.tile(wells, sum(PTC02.values())), fall_adu)
    rows = tile_frame(CHANNELS[0], simulate_tiles(np.random.default_rng(8), Physics(), PTC02, full_well=well))
    inputs = calibration_input(rows)
    tiles = next(iter(channels_of(inputs, tiles_of_used_frames(inputs))))[1].tiles
    points = Points(tiles.mean_adu, tiles.variance_adu2, tiles.variance_adu2_err / tiles.variance_adu2)
    return tiles, points, np.isfinite(tiles.variance_adu2) & (tiles.mean_adu < 0.95 * 62_800)


def test_a_tile_is_weak_from_its_first_level_on() -> None:
    wells = np.full(TILES, 9e4)
    wells[[0, 20]] = 25e3
    tiles, points, good = channel(wells)
    weak = weak_points(tiles, points, good, least=0.02, sigma=5.0)
    assert set(tiles.tile[weak & good]) == {0, 20}
    assert tiles.mean_adu[weak & good].min() > 25e3
    wrong = good & np.isin(tiles.tile, [0, 20]) & (tiles.mean_adu > 27e3)
    assert weak[wrong].all()


def test_a_departure_that_does_not_last_is_none() -> None:
    tiles, points, good = channel(np.full(TILES, 9e4))
    once = (tiles.tile == 4) & (tiles.level == 2)
    variance = np.where(once, 0.9 * tiles.variance_adu2, tiles.variance_adu2)
    changed = Tiles(**{n: variance if n == "variance_adu2" else getattr(tiles, n) for n in Tiles.__slots__})
    assert not weak_points(changed, points, good, least=0.02, sigma=5.0).any()


def test_where_the_whole_channel_spills_no_tile_below_is_weak() -> None:
    tiles, points, good = channel(np.full(TILES, 3e4))
    weak = weak_points(tiles, points, good, least=0.02, sigma=5.0)
    assert np.all(tiles.mean_adu[weak & good] > 3e4)
    assert not weak_points(*channel(np.full(TILES, 9e4)), least=0.02, sigma=5.0).any()
