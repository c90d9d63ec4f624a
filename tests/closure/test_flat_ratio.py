"""Response at two wavelengths: rms of the ratio and correlation, from frames through two masters, with honest errors."""

import numpy as np
import pytest

from tests.closure.flat_truth import H, Scene, W, flats
from tests.pulls import assert_pulls
from vison_etl.effects.declare import Product
from vison_etl.effects.flat_field import measure
from vison_etl.effects.flat_field.ratio import COLUMNS, REFERENCE
from vison_etl.instrument.geometry import QUADRANTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CCDS = 30
SCENE = Scene(signal_adu=8000.0, dust=0, hits=1.0, bad_columns=0, dead_pixels=0)
SHARED, OWN = 0.005, 0.002


def test_ratio_and_correlation():
    found = {name: [] for name in COLUMNS}
    plain = []
    for k in range(CCDS):
        rng = np.random.default_rng([5, k])
        one = {q: 1.0 + SHARED * rng.standard_normal((H, W)) for q in QUADRANTS}
        other = {q: image + OWN * rng.standard_normal((H, W)) for q, image in one.items()}
        first = measure.master(flats(rng, SCENE, 10, one), measure.PARAMETERS, {}).products[0]
        reference = Product(REFERENCE, "CCD1", first.extensions, {**first.cards, "WAVEL": 800})
        second = measure.master(flats(rng, SCENE, 6, other), measure.PARAMETERS, {REFERENCE: reference})
        row = second.tables["flat_response"]
        for name in COLUMNS:
            found[name] += row[name]
        ratio = second.products[0].extensions["FLAT"] / first.extensions["FLAT"]
        plain.append(np.nanvar(ratio[20:120, 80:160]))
    assert set(found["reference_wavelength_nm"]) == {800}
    assert min(found["reference_fluence_adu"]) > 7000
    assert_pulls(found["ratio_variance"], found["ratio_variance_err"], OWN**2)
    assert_pulls(found["correlation"], found["correlation_err"], SHARED / np.hypot(SHARED, OWN))
    assert np.mean(found["correlation_err"]) < 0.01
    # the plain rms of the ratio of both masters has their noise in it
    assert np.mean(plain) > 1.3 * OWN**2
