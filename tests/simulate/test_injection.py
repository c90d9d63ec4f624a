from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import SMALL, image_of, shot, signal_adu, truth_of
from vison_etl.instrument.geometry import InjectionHalf
from vison_etl.simulate.injection import column_pattern, injected_rows, injector, level_adu
from vison_etl.simulate.setup import Injection

E, G = truth_of(quadrant="E"), truth_of(quadrant="G")


def injection(ig1=4.0, ig2=6.0, idl=11.0, half=InjectionHalf.BOTTOM, on=30, off=100, width=60.0):
    return Injection(on, off, half, width, idl, (ig1, ig1, ig1), ig2)


def test_lines_cycle_from_the_first_row():
    image = image_of(signal_adu(E, shot(injection=injection())))
    rows = image.mean(axis=1)
    wanted = injected_rows(injection(), 256)
    assert wanted.sum() == 60
    assert (rows[wanted] > 10_000).all()
    assert np.abs(rows[~wanted]).max() < 60  # tails of deferred charge
    assert injected_rows(injection(on=2066, off=0), 256).all()


def test_level_pattern_and_noise_are_those_of_the_truth():
    image = image_of(signal_adu(E, shot(injection=injection(on=2066, off=0))))
    level = level_adu(E, injection())
    assert level == pytest.approx(12_600, rel=0.15)
    assert image.mean() == pytest.approx(level, rel=5e-4)
    columns = image.mean(axis=0) / image.mean()
    assert columns[1:] == pytest.approx(column_pattern(E, SMALL)[1:], abs=4e-3)
    residual = image - np.outer(image.mean(axis=1), columns)
    expected = 0.5 * level / E.gain_e_per_adu + E.ron_white_adu**2 + 1 / 12
    assert residual[:, 1:].var() == pytest.approx(expected, rel=0.05)


def test_only_the_selected_half_injects():
    for half, on, off in ((InjectionHalf.BOTTOM, E, G), (InjectionHalf.TOP, G, E)):
        taken = shot(injection=injection(half=half))
        assert image_of(signal_adu(on, taken))[:30].mean() > 10_000
        assert image_of(signal_adu(off, taken))[:30].mean() == pytest.approx(0, abs=0.1)
    assert level_adu(E, injection(half=None)) == 0
    assert level_adu(E, injection(width=5.0)) == 0


def test_threshold_notch_and_slope_against_ig1():
    truth = injector(E)
    threshold, notch = truth.threshold_ig1_v(11.0), truth.notch_ig1_v(6.0)
    seen = {v: image_of(signal_adu(E, shot(injection=injection(ig1=v))))[:30].mean() for v in (2.5, 4.0, 5.0, 6.5)}
    assert threshold == pytest.approx(3.5, abs=0.16)
    assert notch == pytest.approx(6.0, abs=0.11)
    assert seen[2.5] == pytest.approx(level_adu(E, injection(ig1=2.5)), abs=0.5)
    assert seen[2.5] < 0.001 * seen[4.0]
    assert seen[4.0] - seen[5.0] == pytest.approx(truth.slope_adu_per_v, rel=3e-3)
    assert seen[6.5] == pytest.approx(truth.notch_level_adu, rel=3e-3)
    assert truth.level_adu(threshold, 6.0, 11.0) == pytest.approx(0.5 * truth.level_adu(threshold, 6.0, 5.0))


def test_threshold_against_idl():
    truth = injector(E)
    edge = truth.threshold_idl_v(4.0)
    assert edge == pytest.approx(11.5, abs=0.16)
    below, at, above = (truth.level_adu(4.0, 6.0, edge + step) for step in (-1.0, 0.0, 1.0))
    assert at == pytest.approx(0.5 * below, rel=1e-5)
    assert above < 1e-4 * below
