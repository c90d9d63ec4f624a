from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import SMALL, image_of, shot, signal_adu, truth_of
from vison_etl.simulate.charge import particles_expected
from vison_etl.simulate.dark import exposed_s
from vison_etl.simulate.defects import Defect, add_hot, defects, dim
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.setup import Setup

SPOILED = Options(cosmics_per_quadrant=0.0, nonlinearity=0.0)
TRUTH = truth_of()


def test_defects_belong_to_the_channel():
    assert defects(TRUTH, SMALL) == defects(truth_of(), SMALL)
    assert defects(TRUTH, SMALL) != defects(truth_of(quadrant="F"), SMALL)
    kinds = {d.kind for c in ("CCD1", "CCD2", "CCD3") for q in "EFGH" for d in defects(truth_of(c, q), SMALL)}
    assert kinds == {"hot_pixel", "dim_pixel", "hot_column", "dim_column"}


def test_hot_pixels_grow_with_time_and_with_their_row():
    hot = [d for d in defects(TRUTH, SMALL) if d.kind == "hot_pixel"]
    collected = exposed_s(SMALL, Setup(), 300.0)
    signal = image_of(signal_adu(TRUTH, shot(exptime_s=300.0, is_open=False), SPOILED))
    for defect in hot:
        expected = min(defect.value * collected[defect.y], TRUTH.full_well_e)
        error = 4 * np.hypot(np.sqrt(expected), 4) + 2e-4 * expected
        assert signal[defect.y, defect.x] * TRUTH.gain_e_per_adu == pytest.approx(expected, abs=error + 3)


def test_dim_pixels_lose_light():
    clean = image_of(signal_adu(TRUTH, shot(exptime_s=1.0)))
    spoiled = image_of(signal_adu(TRUTH, shot(exptime_s=1.0), SPOILED))
    for defect in (d for d in defects(TRUTH, SMALL) if d.kind == "dim_pixel"):
        ratio = spoiled[defect.y, defect.x] / clean[defect.y, defect.x]
        assert ratio == pytest.approx(defect.value, abs=0.03)


def test_columns_are_bad_to_the_far_end():
    charge, mean = np.zeros((20, 5), np.float32), np.full((20, 5), 100.0, np.float32)
    found = (Defect("hot_column", 2, 5, 15, 50.0), Defect("dim_column", 3, 8, 12, 0.5))
    add_hot(charge, found, np.full(20, 100.0, np.float32), np.random.default_rng(1))
    dim(mean, found)
    assert charge[5:, 2].mean() == pytest.approx(5000, abs=4 * 71 / np.sqrt(15))
    assert charge[:5].max() == charge[:, 3].max() == 0
    assert (mean[8:, 3] == 50).all()
    assert mean.sum() == 100 * 100 - 12 * 50


def test_particles_come_with_time():
    dark = [exposed_s(SMALL, Setup(), t)[:256].mean() for t in (0.0, 565.0)]
    few, many = (particles_expected(SMALL, t) for t in dark)
    assert few == pytest.approx(0.017 * (256 * 12e-4) ** 2 * 127.5 * 0.03443, rel=1e-3)
    assert many / few == pytest.approx(dark[1] / dark[0])
    hits = [
        (image_of(signal_adu(TRUTH, shot(17001 + k, 3000.0, is_open=False), Options(has_defects=False))) > 150).sum()
        for k in range(6)
    ]
    mean = particles_expected(SMALL, 3000.0)
    assert 0.4 * mean * 6 < sum(hits) / 11 < 1.8 * mean * 6
