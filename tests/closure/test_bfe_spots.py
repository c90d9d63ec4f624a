"""Width of spots against their flux, before and after the correction: Gaussian spots whose charge builds up in 100 steps."""

import numpy as np
import pytest

from tests.closure.bfe_truth import channels, moments, true_coefficients, true_walls
from vison_etl.effects.brighter_fatter.widths import FWHM_PER_SIGMA, gaussian_spot
from vison_etl.effects.covariance import kernel
from vison_etl.effects.covariance.lags import Measured, mirrored
from vison_etl.pixels.brighter_fatter import correct, correct_first_order
from vison_etl.pixels.walls import walls_of
from vison_etl.simulate.build_up import accumulate
from vison_etl.simulate.streams import Purpose, state_of, stream

pytestmark = pytest.mark.slow
PEAKS_E = (2e4, 6e4, 1.2e5)
BACKGROUND_E = 100.0
SIGMA_PX = 1.0


@pytest.fixture(scope="module")
def slopes():
    """Return per method the growth of FWHM along x and y per flux over that of the charge, shape (channels, 2)."""
    found = {}
    for truth in channels(31)[::4]:
        scalar = walls_of(mirrored(kernel.solve(Measured(true_coefficients(truth.shift, 9), np.eye(81))).values))
        exact = true_walls(truth.shift, 9)
        images = {name: [] for name in ("charge", "true_walls", "kernel", "one_pass", "iterated")}
        for charge in charges(truth):
            images["charge"].append(charge)
            images["true_walls"].append(correct(charge, exact).image)
            images["kernel"].append(correct(charge, scalar).image)
            images["one_pass"].append(correct_first_order(charge, exact).image)
            images["iterated"].append(correct_first_order(charge, exact, max_rounds=10).image)
        grown = {name: growth(made) for name, made in images.items()}
        assert (grown["charge"] > 0).all()
        for name, value in grown.items():
            found.setdefault(name, []).append(value / grown["charge"])
    return {name: np.array(values) for name, values in found.items()}


def charges(truth):
    shape = gaussian_spot(SIGMA_PX, 20, 0.2, -0.3)
    for peak in PEAKS_E:
        light = (BACKGROUND_E + peak / shape.max() * shape).astype(np.float32)
        state = state_of(stream(1, "SPOT", Purpose.PHOTONS, 0))
        yield accumulate(light, truth.shift, 100, state, noisy=False)


def growth(images):
    """Return the slopes of FWHM along x and y against flux, px/e-."""
    spots = [image - np.float32(BACKGROUND_E) for image in images]
    flux = np.array([spot.sum(dtype=np.float64) for spot in spots])
    widths = np.array([FWHM_PER_SIGMA * np.sqrt([(m := moments(spot)).x, m.y]) for spot in spots])
    return np.polyfit(flux, widths, 1)[0]


def test_spots_grow_no_more(slopes):
    """With the walls of the detector to 0.1 % of the growth."""
    assert np.abs(slopes["true_walls"]).max() < 1e-3
    # Iterated first order must fail, and one pass leave more than the exact correction does.
    assert np.abs(slopes["iterated"]).mean(axis=0).min() > 0.01
    assert slopes["one_pass"].mean(axis=0).min() > 2e-3


def test_a_scalar_kernel_gives_the_mean_of_both_axes(slopes):
    """It shares the growth out between the axes its own way; their mean comes back to 1 %."""
    assert np.abs(slopes["kernel"].mean(axis=1)).max() < 0.01
    assert np.abs(slopes["kernel"]).max() < 0.1
