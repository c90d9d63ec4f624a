"""The measurement on raw frames: what is corrected, what is not, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.frames import SMALL, raw
from tests.pixels.covariance_frames import Scene, pair
from vison_etl.effects.brighter_fatter.effect import EFFECT
from vison_etl.effects.covariance.kernel_file import KIND, QuadrantKernel, product_of, without_kernel
from vison_etl.effects.declare import RawFrame
from vison_etl.effects.photon_transfer.measure_covariances import PARAMETERS, covariances
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view
from vison_etl.pixels.lag_covariances import LAGS
from vison_etl.tables import table

MEASUREMENT = EFFECT.measurements[0]
ENGINE = {"block", "test", "acquisition", "script_column", "unit_key"}
N = len(LAGS)
REACH = 9


def given(strength=0.0, **without):
    """Return a product with a kernel for every quadrant but those given, by quadrant and status."""
    y, x = np.mgrid[0:REACH, 0:REACH]
    value = -strength * np.exp(-0.7 * np.hypot(x, y))
    none = np.zeros((REACH, REACH))
    known = QuadrantKernel(value, none, none, none, 3.3, 0.01, 20_000.0, "ok")
    return {
        KIND: product_of("CCD2", {q: without_kernel(REACH, without[q]) if q in without else known for q in QUADRANTS})
    }


def frames(scene=None, *, as_stored=False, **light):
    images = pair(7, scene or Scene(taps={(0, 0): 1.0, (0, 1): 0.08}), **light)
    return [
        RawFrame(11 + k, "CCD2", raw(image) if as_stored else image, SMALL, 0, SMALL.quadrant_rows)
        for k, image in enumerate(images)
    ]


def measured(pair_of_frames, product, **parameters):
    return MEASUREMENT.function(*pair_of_frames, {**MEASUREMENT.parameters, **parameters}, product).tables[
        "corrected_covariances"
    ]


def of(columns, quadrant, name):
    k = QUADRANTS.index(quadrant)
    return columns[name][k * N : (k + 1) * N]


def test_columns_are_those_of_the_table():
    columns = measured(frames(), given())
    assert set(columns) == set(table("corrected_covariances").names) - ENGINE
    assert {len(values) for values in columns.values()} == {4 * N}
    assert set(columns["state"]) == {"corrected"}
    assert set(columns["obsid_1"]) == {11}


def test_without_moving_walls_it_is_what_photon_transfer_measures():
    one, two = frames(as_stored=True, flux=1.02)
    known = covariances(one, two, PARAMETERS).tables["pair_covariances"]
    found = measured((one, two), given())
    for name in ("quadrant", "lag_x", "lag_y", "n"):
        assert found[name] == known[name]
    scale = known["covariance_adu2"][0]
    np.testing.assert_allclose(found["covariance_adu2"], known["covariance_adu2"], atol=3e-4 * scale)
    np.testing.assert_allclose(found["mean_adu"], known["mean_adu"], atol=0.1)
    np.testing.assert_allclose(found["mean_adu_err"], known["mean_adu_err"], rtol=0.01)


def test_the_correction_is_in_electrons_of_the_kernel():
    """Variance of white light: V (1 - a_00 m) to first order; 9000 ADU, 3.3 e-/ADU."""
    scene = Scene(taps={(0, 0): 1.0})
    still, moved = measured(frames(scene), given()), measured(frames(scene), given(3e-7))
    a00 = -4 * 3e-7 * (1 - np.exp(-0.7))
    for quadrant in QUADRANTS:
        before, after = (of(columns, quadrant, "covariance_adu2")[0] for columns in (still, moved))
        assert after / before == pytest.approx(1 - a00 * 9000 * 3.3, rel=1e-3)
        assert of(moved, quadrant, "mean_adu")[0] == pytest.approx(of(still, quadrant, "mean_adu")[0], abs=0.01)


def test_a_missing_kernel_is_said_and_nothing_is_corrected():
    columns = measured(frames(), {})
    assert set(columns["state"]) == {"no_kernel"}
    for name in ("covariance_adu2", "mean_adu", "n", "gain_e_per_adu", "n_rounds"):
        assert set(columns[name]) == {None}
    columns = measured(frames(), given(F="failed"))
    assert set(of(columns, "F", "state")) == {"no_fit"}
    assert set(of(columns, "F", "covariance_adu2")) == {None}
    assert set(of(columns, "E", "state")) == {"corrected"}


def test_light_beyond_the_kernel_is_not_corrected():
    columns = measured(frames(Scene(signal=21_500.0)), given())
    assert set(columns["state"]) == {"beyond_kernel"}
    assert set(columns["gain_e_per_adu"]) == {3.3}
    assert set(measured(frames(Scene(signal=20_500.0)), given())["state"]) == {"corrected"}


def test_saturated_frames_are_not_corrected():
    one, two = frames()
    quadrant_view(one.image, SMALL, "G")[:30, 60:70] = 65535
    columns = measured((one, two), given())
    assert set(of(columns, "G", "state")) == {"saturated"}
    assert set(of(columns, "G", "n_saturated")) == {300}
    assert set(of(columns, "H", "state")) == {"corrected"}


def test_pixels_near_a_saturated_one_are_left_out():
    one, two = frames()
    quadrant_view(one.image, SMALL, "E")[100, 150] = 65535
    columns = measured((one, two), given())
    assert set(of(columns, "E", "state")) == {"corrected"}
    assert set(of(columns, "E", "n_unknown")) == {19 * 19}


def test_a_correction_that_does_not_settle_is_said():
    columns = measured(frames(), given(3e-7), tolerance_e=1e-6)
    assert set(columns["state"]) <= {"not_converged", "corrected"}
    columns = measured(frames(), given(1e-4))
    assert set(columns["state"]) == {"not_converged"}
    assert set(columns["covariance_adu2"]) == {None}


def test_rows_that_were_not_read_give_no_data():
    found = measured([replace(frame, vstart=50, vend=50) for frame in frames()], given())
    assert set(found["state"]) == {"no_data"}


def test_frames_that_make_no_pair_are_refused():
    one, two = frames()
    with pytest.raises(ValueError, match="exposures 11 and 12"):
        measured((one, replace(two, ccd="CCD3")), given())
