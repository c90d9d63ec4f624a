"""Closure of the non-linearity where the chain has structure that no smooth response follows: steps, waves and a kink of a converter, and
where single exposures have other light than their time says.

The pattern of the tiles is known to 1e-5, so that one ADU contradicts it; exposure times, which repeat to 0.1 %, must win. Deviations are from
the line whose slope is that of the response without structure at 20 % of full scale: its slope there is no property of the chain.
"""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from tests.closure.nl_truth import FULL_SCALE, Bench
from tests.effects.nonlinearity.nl_tables import CHANNELS, FIRST, inputs
from vison_etl.effects.nonlinearity import fitted
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.effects.nonlinearity.structure import Trusted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FOUR = CHANNELS[:4]
AT = FULL_SCALE * np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85])
FAINT = AT < 0.05 * FULL_SCALE


def smooth(x):
    """Return the non-linearity without structure, per cent."""
    return 0.3 * np.exp(-x / 0.25) - 0.4 * x**2


def triangles(size_adu, period_adu):
    return lambda y: size_adu * (4.0 * np.abs((y / period_adu) % 1.0 - 0.5) - 2.0)


STRUCTURES = {
    "triangles": triangles(2.0, 6500.0),
    "large triangles": triangles(5.0, 11_000.0),
    "step": lambda y: 5.0 * expit((y - 37_500.0) / 50.0),
    "large step": lambda y: 15.0 * expit((y - 31_000.0) / 50.0),
    "kink": lambda y: -0.004 * np.maximum(0.0, y - 39_000.0),
}
"""ADU against the signal of a linear chain."""


def percent(structure):
    return lambda x: smooth(x) + 100.0 * structure(x * FULL_SCALE) / np.maximum(x * FULL_SCALE, 1.0)


def true_pct(structure):
    y = np.linspace(1.0, 1.2 * FULL_SCALE, 800_001)
    bare = y * (1.0 + smooth(y / FULL_SCALE) / 100.0)
    slope = np.interp(0.2 * FULL_SCALE, bare, np.gradient(bare, y))
    linear = slope * np.interp(AT, bare + structure(y), y)
    return 100.0 * (AT - linear) / linear


def read(result, structure):
    """Return deviations from the truth and errors of each channel at AT, per cent."""
    off, errors = [], []
    for _, curve in result.tables["nonlinearity_curve"].group_by("ccd", "quadrant", maintain_order=True):
        signal, value, error = (curve[name].to_numpy() for name in ("fluence_adu", "nl_pct", "nl_pct_err"))
        off.append(np.interp(AT, signal, value) - true_pct(structure))
        errors.append(np.interp(AT, signal, error))
    return np.array(off), np.array(errors)


def bad_fits(result):
    return "; ".join(flag.detail for flag in result.flags if flag.name == "BADFIT")


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_does_not_overrule_the_clock(name):
    result = EFFECT.calibrate(inputs(Bench(percent(STRUCTURES[name]), flux_rms=0.001), 5, channels=FOUR))
    assert result.tables["nonlinearity"].filter(status="ok").height == 4
    # what agrees with the exposure times may be trusted
    assert name == "kink" or "exposure times alone" in bad_fits(result)
    off, error = read(result, STRUCTURES[name])
    assert np.abs(off[:, FAINT]).max() < 0.5
    # levels of four frames of 0.1 %: twice what they know of the light
    assert np.abs(off[:, ~FAINT]).max() < 0.2
    assert np.abs(off / error).max() < 4.0


@pytest.mark.lengthy
@pytest.mark.parametrize("name", STRUCTURES)
def test_errors_are_honest_where_there_is_structure(name):
    """30 benches of four channels, which share light and errors: so 30 independent numbers per signal."""
    found = [
        read(
            EFFECT.calibrate(inputs(Bench(percent(STRUCTURES[name]), flux_rms=0.001), [8, k], channels=FOUR)),
            STRUCTURES[name],
        )
        for k in range(30)
    ]
    off, errors = (np.concatenate(part) for part in zip(*found, strict=True))
    assert len(off) == 120
    assert np.sqrt(np.mean((off / errors) ** 2)) < 1.5
    # what exposure times alone tell on this bench: 0.1 to 0.15 % at 1 to 5 % of full scale, less above
    assert np.sqrt(np.mean(off**2, axis=0)).max() < 0.25


def test_trusting_the_pattern_of_the_tiles_fails(monkeypatch):
    def trust(fit_to, exposures, channels, noises, ranges):
        return Trusted(fit_to(noises), noises, None)

    monkeypatch.setattr(fitted, "fit_responses", trust)
    structure = STRUCTURES["large step"]
    result = EFFECT.calibrate(inputs(Bench(percent(structure), flux_rms=0.001), 5, channels=FOUR))
    if result.tables["nonlinearity_curve"].is_empty():
        assert set(result.tables["nonlinearity"]["status"]) == {"failed", "no_data"}
    else:
        off, error = read(result, structure)
        assert np.abs(off / error).max() > 10.0


def test_without_structure_the_pattern_is_trusted():
    result = EFFECT.calibrate(inputs(Bench(smooth, flux_rms=0.001), 6, channels=FOUR))
    assert bad_fits(result) == ""


@pytest.mark.parametrize("size", [0.01, 0.02])
@pytest.mark.parametrize("chosen", [[40], [20, 40, 60], [10, 20, 33, 40, 60, 75]], ids=len)
def test_exposures_of_other_light_are_found(chosen, size):
    def spoil(every):
        for frames in every:
            frames.signal[chosen] *= 1.0 + size

    result = EFFECT.calibrate(inputs(Bench(smooth, flux_rms=0.001), 7, channels=FOUR[:2], change=spoil))
    assert result.tables["nonlinearity"].filter(status="ok").height == 2
    track = result.tables["nonlinearity_light"].filter(~pl.col("is_trusted"))
    assert track["obsid"].to_list() == [FIRST + k for k in chosen]
    off, error = read(result, np.zeros_like)
    assert np.abs(off / error).max() < 4.0


def lose_charge(frames):
    """Let a channel lose charge above 48 kADU, more at one side: no response of one signal describes its tiles."""
    loss = 0.15 + 0.1 * frames.y[None, :] / np.abs(frames.y).max()
    frames.signal[:] -= loss * np.maximum(frames.signal - 48_000.0, 0.0)


def test_a_channel_that_loses_charge_does_not_take_the_others_with_it():
    result = EFFECT.calibrate(
        inputs(Bench(smooth, flux_rms=0.001), 9, channels=FOUR, change=lambda every: lose_charge(every[1]))
    )
    assert result.tables["nonlinearity"]["status"].to_list()[:4] == ["ok", "failed", "ok", "ok"]
    off, error = read(result, np.zeros_like)
    assert len(off) == 3
    assert np.abs(off / error).max() < 4.0
    assert error.max() < 0.2
    assert any(flag.name == "POORQUALDATA" and flag.detail.startswith("CCD1 F: ") for flag in result.flags)


def test_charge_lost_everywhere_is_said_and_breaks_nothing():
    def spoil(every):
        for frames in every:
            lose_charge(frames)

    result = EFFECT.calibrate(inputs(Bench(smooth, flux_rms=0.001), 9, channels=FOUR, change=spoil))
    assert result.tables["nonlinearity_curve"].is_empty()
    assert "ok" not in result.tables["nonlinearity"]["status"].to_list()
    assert {flag.name for flag in result.flags} & {"POORQUALDATA", "BADFIT"}
