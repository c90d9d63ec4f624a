from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.effects.photon_transfer.ptc_frames import CHANNELS
from vison_etl.effects.covariance.mixing import Mixing
from vison_etl.effects.photon_transfer.flags import mixing_flag


def channels(biases: list[float], error: float, *, c_is_free: bool = True) -> dict[tuple[str, str], SimpleNamespace]:
    found = {}
    for key, bias in zip(CHANNELS, biases, strict=False):
        fit = SimpleNamespace(status="ok", c_is_free=c_is_free, mixing=Mixing(gain_bias=bias, gain_bias_err=error))
        found[key] = SimpleNamespace(covariances=SimpleNamespace(chosen=fit))
    return found


@pytest.mark.parametrize(
    ("biases", "error", "n"),
    [
        ([0.002] * 12, 0.0018, 1),
        ([0.001] * 12, 0.0018, 0),
        ([0.0004] * 12, 0.0001, 0),
        ([0.008] + [0.0] * 11, 0.0018, 1),
        ([0.006] + [0.0] * 11, 0.0018, 0),
        ([-0.002] * 12, 0.0018, 1),
        ([0.01] * 12, 0.0018, 13),
    ],
)
def test_only_what_matters_is_flagged(biases: list[float], error: float, n: int) -> None:
    flags = list(mixing_flag(channels(biases, error)))
    assert [(flag.name, flag.n) for flag in flags] == ([("MIXING", n)] if n else [])


def test_what_it_says() -> None:
    (flag,) = mixing_flag(channels([0.004] * 12, 0.0018))
    assert flag.detail == "mean of 12 channels: 0.40 +- 0.05 % of the gain"


def test_a_fit_with_c_held_at_zero_says_nothing() -> None:
    assert not list(mixing_flag(channels([0.01] * 12, 0.001, c_is_free=False)))
