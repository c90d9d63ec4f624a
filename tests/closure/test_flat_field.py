"""Non-uniformity of 400 channels from frames to per cent: unbiased, with honest errors, whatever light, dust, particles and defects do."""

import numpy as np
import pytest

from tests.closure.flat_truth import Scene, flats
from tests.pulls import assert_pulls
from vison_etl.effects.flat_field import measure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CCDS = 100
CLEAN = {"dust": 0, "hits": 0.0, "bad_columns": 0, "dead_pixels": 0}


def measured(scene, n_frames, seed, n_ccds=CCDS):
    """Return the columns of ``flat_response``, and of ``flat_scales`` by scale, of all channels, and rms of each FLAT."""
    responses, scales, plain = [], [], []
    for k in range(n_ccds):
        group = flats(np.random.default_rng([seed, k]), scene, n_frames)
        found = measure.master(group, measure.PARAMETERS, {})
        responses.append(found.tables["flat_response"])
        scales.append(found.tables["flat_scales"])
        plain.append(np.nanstd(found.products[0].extensions["FLAT"]))
    response = {
        key: np.concatenate([r[key] for r in responses]) for key in ("variance", "variance_err", "total_variance")
    }
    by_scale = {
        key: np.concatenate([s[key] for s in scales]).astype(float).reshape(-1, 4)
        for key in ("variance", "variance_err")
    }
    return response, by_scale, np.array(plain)


def in_percent(found):
    root = np.sqrt(found["variance"].astype(float))
    return 100 * root, 50 * found["variance_err"].astype(float) / root


@pytest.mark.lengthy
def test_half_a_per_cent_under_everything_that_disturbs():
    scene = Scene()
    found, _, plain = measured(scene, 30, seed=1)
    value, error = in_percent(found)
    assert value.size == 400
    assert_pulls(value, error, 100 * scene.prnu)
    assert abs(value.mean() / (100 * scene.prnu) - 1) < 0.02
    with pytest.raises(AssertionError):
        assert_pulls(100 * np.sqrt(found["total_variance"].astype(float)), error, 100 * scene.prnu)
    assert (plain > 2 * scene.prnu).all()


def test_few_frames_of_little_light():
    scene = Scene(signal_adu=4000.0, hits=1.0)
    found, _, _ = measured(scene, 5, seed=2)
    value, error = in_percent(found)
    assert_pulls(value, error, 100 * scene.prnu)
    naive = 100 * np.sqrt(found["total_variance"].astype(float))
    assert naive.mean() > 1.2 * 100 * scene.prnu


@pytest.mark.lengthy
def test_pixels_that_are_all_alike():
    found, _, _ = measured(Scene(prnu=0.0, **CLEAN), 30, seed=3)
    assert_pulls(found["variance"].astype(float), found["variance_err"].astype(float), 0.0)


def test_scales_of_white_structure():
    scene = Scene(**CLEAN)
    _, scales, _ = measured(scene, 10, seed=4)
    for k, share in enumerate((1 - 1 / 4, 1 / 4 - 1 / 25, 1 / 25)):
        assert_pulls(scales["variance"][:, k], scales["variance_err"][:, k], share * scene.prnu**2)
