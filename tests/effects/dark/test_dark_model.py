"""The model of cells: exact where there is no noise, silent where it is not determined."""

from dataclasses import replace

import numpy as np
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.dark.model import Cells, disagrees, fit_dark, glow_shape, per_hour, upper_limit

ASPECT = 1.01


def cells(signal=None, *, error=0.01, base=0.01, overscan=True, row=0.1) -> Cells:
    n = 16
    j, i = (part.ravel() for part in np.mgrid[0:n, 0:n])
    x, y = (i + 0.5) / n, (j + 0.5) / n
    if overscan:
        x, y = np.append(x, (np.arange(n) + 0.5) / n), np.append(y, np.full(n, 1.004))
    is_image = np.arange(x.size) < n * n
    block = np.append(j, np.full(n, n)) if overscan else j
    full = np.full(x.size, 1.0)
    time = np.where(is_image, 1.0 + row * y, row)
    strip = np.append(i, np.arange(n)) if overscan else i
    zero = np.zeros(x.size) if signal is None else signal
    return Cells(x, y, full / n, full / n, zero, full * error, full * base, block, is_image, time, strip)


def truth(where: Cells, dark: float, glow: float, length: float) -> np.ndarray:
    shape, _ = glow_shape(where, length, ASPECT)
    image = 0.3 * (where.x - 0.5) - 0.2 * (where.y - 0.5) + glow * shape
    return dark * where.time + where.is_image * image


@pytest.mark.parametrize("glow", [0.0, 2.0])
def test_exact_without_noise(glow):
    where = cells(overscan=False, row=0.0)
    found = fit_dark(replace(where, signal=truth(where, 0.7, glow, 0.17)), ASPECT, 0.1, has_bias=True)
    assert found.dark[0] == pytest.approx(0.7, abs=1e-6)
    assert found.gradient_x[0] == pytest.approx(0.3, abs=1e-5)
    assert found.gradient_y[0] == pytest.approx(-0.2, abs=1e-5)
    assert found.glow[0] == pytest.approx(glow, abs=1e-5)
    assert found.glow_length == pytest.approx(0.17 if glow else 0.1, rel=1e-4)
    assert found.chi2 < 1e-6
    assert found.dof == 256 - (5 if glow else 4)


def test_step_at_the_overscan_needs_no_bias():
    where = cells()
    structure = 5.0 + 0.3 * np.sin(where.strip)
    found = fit_dark(replace(where, signal=truth(where, 0.7, 1.0, 0.1) + structure), ASPECT, 0.1, has_bias=False)
    assert found.dark[0] == pytest.approx(0.7, abs=1e-6)


def test_errors_hold_the_common_base():
    rng = np.random.default_rng(3)
    where = cells(error=0.02, base=0.05, overscan=False, row=0.0)
    fits = []
    for _ in range(300):
        noise = 0.02 * rng.standard_normal(256) + np.repeat(0.05 * rng.standard_normal(16), 16)
        fits.append(fit_dark(replace(where, signal=truth(where, 0.5, 0.0, 0.1) + noise), ASPECT, 0.1, has_bias=True))
    assert_pulls([f.dark[0] for f in fits], [f.dark[1] for f in fits], 0.5)
    assert np.mean([f.chi2 / f.dof for f in fits]) == pytest.approx(1.0, abs=0.03)


def test_cells_that_disagree_have_larger_errors():
    rng = np.random.default_rng(4)
    where = cells(overscan=False, row=0.0)
    good = fit_dark(where, ASPECT, 0.1, has_bias=True)
    bad = fit_dark(replace(where, signal=0.1 * rng.standard_normal(256)), ASPECT, 0.1, has_bias=True)
    assert disagrees(bad.chi2, bad.dof)
    assert bad.dark[1] > 5 * good.dark[1]


def test_what_is_not_determined_is_none():
    where = cells(overscan=False)
    assert fit_dark(where, ASPECT, 0.1, has_bias=False) is None
    few = Cells(*(getattr(where, name)[:4] for name in Cells.__dataclass_fields__))
    assert fit_dark(few, ASPECT, 0.1, has_bias=True) is None


def test_upper_limit_and_current():
    assert upper_limit(-3.0, 1.0) == pytest.approx(1.645, abs=1e-3)
    assert upper_limit(2.0, 1.0) == pytest.approx(3.645, abs=1e-3)
    value, error = per_hour((0.5, 0.01), 600.0, (3.0, 0.03))
    assert value == pytest.approx(0.5 * 3.0 * 6.0)
    assert error == pytest.approx(np.hypot(0.01 * 18.0, 0.5 * 6.0 * 0.03))


def test_a_quadrant_without_noise_is_not_fitted():
    where = cells()
    silent = replace(where, error=np.zeros(where.signal.size), base_error=np.zeros(where.signal.size))
    assert fit_dark(silent, ASPECT, 0.1, has_bias=False) is None
