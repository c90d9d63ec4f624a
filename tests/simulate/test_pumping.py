from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import SMALL, image_of, shot, signal_adu, truth_of
from tests.simulate.test_injection import injection
from vison_etl.simulate.pumping import Trap, amplitude_e, polarity, traps
from vison_etl.simulate.setup import Pumping

E = truth_of()
FILLED = injection(on=2066, off=0)
NOISE_E = np.sqrt(2) * np.hypot(np.sqrt(0.5 * 42e3), 4.0)


def difference_e(pumping):
    """Pumped less un-pumped frame, electrons: two exposures of one number, hence with the same noise of injection."""
    pumped, still = (image_of(signal_adu(E, shot(injection=FILLED, pumping=p))) for p in ((pumping,), ()))
    return (pumped - still) * E.gain_e_per_adu


def test_formulas():
    trap = Trap("parallel", 10, 10, 1, 1000.0, 0.5)
    assert amplitude_e(trap, Pumping("parallel", 123, 5000, 1000.0 * np.log(2))) == pytest.approx(0.25 * 2500)
    serial = Trap("serial", 10, 0, 2, 10.0, 0.1)
    assert amplitude_e(serial, Pumping("serial", 23, 5000, 5.25)) == pytest.approx(500 * (1 - np.exp(-1)))


@pytest.mark.parametrize("mode", [123, 234, 341, 412])
def test_vertical_dipoles(mode):
    pumping = Pumping("parallel", mode, 5000, 200.0)
    change = difference_e(pumping)
    found = traps(E, SMALL, "parallel")
    assert 12 < len(found) < 45
    touched = np.zeros(change.shape, bool)
    for trap in found:
        near, far = change[trap.y, trap.x], change[trap.y + 1, trap.x]
        touched[trap.y : trap.y + 10, trap.x : trap.x + 10] = True
        sign, mean_e = polarity(trap, mode), amplitude_e(trap, pumping)
        error = 4 * np.sqrt(mean_e + 12) + 5e-3 * mean_e
        assert near == pytest.approx(sign * mean_e, abs=error)
        assert far == pytest.approx(-sign * mean_e, abs=error)
    assert {polarity(trap, mode) for trap in found} == {-1, 0, 1}
    assert np.abs(change[~touched]).max() < 2 * E.gain_e_per_adu


def test_phase_time_changes_the_amplitude():
    trap = next(t for t in traps(E, SMALL, "parallel") if polarity(t, 123) and 100 < t.tau_us < 5000)
    for time_us in (50.0, 1000.0, 8000.0):
        pumping = Pumping("parallel", 123, 5000, time_us)
        seen = difference_e(pumping)[trap.y, trap.x] * polarity(trap, 123)
        expected = amplitude_e(trap, pumping)
        assert seen == pytest.approx(expected, abs=4 * np.sqrt(expected + 12) + 1)


def test_serial_dipoles_are_in_every_row():
    pumping = Pumping("serial", 31, 5000, 14.3)
    change = difference_e(pumping).mean(axis=0)
    found = traps(E, SMALL, "serial")
    assert found
    for trap in found:
        sign, mean_e = polarity(trap, 31), amplitude_e(trap, pumping)
        error = 4 * np.sqrt((mean_e + 12) / 256) + 5e-3 * mean_e
        assert change[trap.x] == pytest.approx(sign * mean_e, abs=error)
        assert change[trap.x + 1] == pytest.approx(-sign * mean_e, abs=error)


def test_nothing_is_pumped_out_of_empty_pixels():
    pumping = Pumping("parallel", 123, 5000, 1000.0)
    empty = image_of(signal_adu(E, shot(pumping=(pumping,))))
    assert empty.max() < 7 * E.ron_adu


def test_rows_outside_the_window_hold_zero():
    from tests.simulate.shots import PLAIN
    from vison_etl.simulate.quadrant import expose

    codes = expose(E, SMALL, shot(vend=100, injection=FILLED, pumping=(Pumping("serial", 23, 5000, 0.0),)), PLAIN)
    assert (codes[100:] == 0).all()
    assert (codes[:100] > 1000).all()
