from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from tests.simulate.shots import BLOCK, CHAMBER, PLAIN, SMALL, image_of, shot, signal_adu, truth_of
from vison_etl.simulate.persistence import filled_pixels, persistence
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import expose
from vison_etl.simulate.setup import Latent

E = truth_of()
LATENT = Latent(17000, "2000", 600.0, 1.0, 37.2, (0.0, 0.0), 80.0)


def test_latent_charge_decays_where_the_pixels_were_filled():
    truth, filled = persistence(E), filled_pixels(E, SMALL, CHAMBER, LATENT)
    signal = {}
    for delay_s in (80.0, 720.0, 1360.0):
        left = Latent(*[getattr(LATENT, name) for name in Latent.__slots__[:-1]], delay_s)
        image = image_of(signal_adu(E, shot(17001, 565.0, is_open=False, latents=(left,))))
        signal[delay_s] = image[filled].mean() - image[~filled].mean()
        expected = truth.released_e(delay_s, 565.0 + 127.5 * 0.0344304) / E.gain_e_per_adu
        assert signal[delay_s] == pytest.approx(expected, abs=4 * np.sqrt(expected + 4) / np.sqrt(filled.sum()))
    values = list(signal.values())
    assert values[1] / values[0] == pytest.approx(np.exp(-640 / truth.tau_s), rel=0.1)
    assert values[2] < values[1] < values[0]


def test_the_overfilling_exposure_saturates_the_part_that_the_test_wants():
    taken = shot(17000, 600.0, label="2000", source="point", mirror_mm=37.2)
    codes = expose(E, SMALL, taken, PLAIN)
    fraction = (codes == 65535).mean()
    assert 0.002 < fraction < 0.2
    filled = filled_pixels(E, SMALL, CHAMBER, LATENT)
    assert (codes[:256, 51:307] == 65535)[~filled].sum() < 0.01 * filled.sum()


def test_the_plan_hands_latent_charge_to_later_exposures():
    planned = exposures(plan_day(BLOCK, ["PERSIST01", "BIAS01"], datetime.fromisoformat("2019-03-12T08:00:00"), 17001))
    left = [exposure.shot.setup.latents for exposure in planned]
    assert all(found == () for found in left[:9])
    assert [found[0].obsid for found in left[9:]] == [17009] * 13
    delays = [found[0].ended_s for found in left[9:12]]
    assert delays[0] == 75
    assert np.diff(delays).tolist() == [640, 640]
