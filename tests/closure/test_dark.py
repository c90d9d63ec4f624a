"""Dark current of many channels against simulated truth: unbiased, with honest errors, and limits that cover."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from tests.closure.dark_truth import GAIN, Sky, measure
from tests.pulls import assert_pulls
from vison_etl.effects.dark.calibrate import calibrate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CCDS = 102


LENGTHY = [pytest.param(rate, marks=pytest.mark.lengthy) for rate in (0.0, 0.01)]


@pytest.fixture(scope="module", params=[0.001, *LENGTHY], ids=lambda rate: f"{rate} e/px/s")
def found(request) -> tuple[float, pl.DataFrame]:
    rows = [calibrate(measure(1000 + seed, Sky(request.param))).tables["dark_signal"] for seed in range(CCDS)]
    return request.param * 3600.0, pl.concat(rows)


def test_dark_current(found):
    truth, rows = found
    assert rows.height >= 400
    assert rows["status"].unique().to_list() == ["ok"]
    for name in ("dark_e_per_px_h", "dark_overscan_e_per_px_h"):
        assert_pulls(rows[name], rows[f"{name}_err"], truth)
    pulls = ((rows["dark_e_per_px_h"] - truth) / rows["dark_e_per_px_h_err"]).to_numpy()
    assert 0.9 < np.sqrt(np.mean(pulls**2)) < 1.1
    # the step at the overscan needs no master bias and is worse for it
    assert 2.0 < (rows["dark_overscan_e_per_px_h_err"] / rows["dark_e_per_px_h_err"]).mean() < 4.0


def test_upper_limits_cover(found):
    truth, rows = found
    covered = (rows["dark_upper_e_per_px_h"] >= truth).sum()
    assert covered >= binom.ppf(0.001, rows.height, 0.95)
    if truth == 0:
        assert covered == rows.height


def test_stray_light_and_glow_are_told_apart(found):
    _, rows = found
    for name, truth_e in (("gradient_x_adu", 3.0), ("gradient_y_adu", -2.0), ("glow_adu", 12.0)):
        pulls = ((rows[name] - truth_e / GAIN) / rows[f"{name}_err"]).to_numpy()
        assert abs(pulls.mean()) < 0.25
        assert np.sqrt(np.mean(pulls**2)) < 1.25
    assert rows["glow_px"].mean() == pytest.approx(14.0, rel=0.05)


def test_the_median_of_codes_is_no_measurement(found):
    """What earlier campaigns gave is a multiple of a quarter ADU and follows offset structure, not the dark current."""
    truth, rows = found
    median, mean_adu = rows["dark_median_adu"].to_numpy(), truth / 3600.0 * 565.0 / GAIN
    assert np.allclose(np.round(median * 16), median * 16)
    worst = np.sqrt(np.mean((median - mean_adu) ** 2))
    ours = np.sqrt(np.mean((rows["dark_adu"].to_numpy() - mean_adu) ** 2))
    assert worst > 5 * ours


def test_hot_pixels_and_cosmics_are_counted(found):
    _, rows = found
    # 8 of 10 to 3162 ADU each, even in the logarithm: 0.72 of them above 50 ADU
    assert rows["n_hot"].mean() == pytest.approx(8 * 0.72, rel=0.1)
    assert (rows["n_hot"] + rows["n_warm"]).mean() == pytest.approx(8.0, rel=0.06)
    assert rows["n_tracks"].mean() == pytest.approx(4 * 3.06, rel=0.15)
