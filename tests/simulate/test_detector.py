from __future__ import annotations

import math

import pytest

from vison_etl.instrument.blocks import offsets_adu
from vison_etl.simulate.detector import channel, with_a00

CHANNELS = [channel(3, block, ccd, q) for block in ("BORN", "NIELS") for ccd in ("CCD1", "CCD3") for q in "EFGH"]


@pytest.mark.parametrize("truth", CHANNELS)
def test_truth_is_within_what_is_known_of_the_hardware(truth):
    assert 3.1 <= truth.gain_e_per_adu <= 3.6
    assert -1.6e-6 <= truth.a00_per_e <= -0.7e-6
    assert 0.95 <= truth.ron_adu <= 1.30
    assert math.hypot(truth.ron_white_adu, truth.row_noise_adu) == pytest.approx(truth.ron_adu)
    assert 0.2 <= truth.row_noise_adu <= 0.5
    assert 2.5 < truth.ron_white_e < 5.0
    assert 44_000 <= truth.full_well_e / truth.gain_e_per_adu <= 50_000
    expected = offsets_adu(truth.block)[truth.ccd, truth.quadrant]
    assert abs(truth.offset.level_adu - expected) <= 30


def test_the_offset_wanders_by_a_few_adu_over_a_day():
    drift = [CHANNELS[0].offset.drift_adu(h) for h in range(48)]
    assert 0.5 < max(drift) - min(drift) < 6


def test_truth_depends_on_seed_and_block():
    assert channel(3, "BORN", "CCD1", "E") == CHANNELS[0]
    gains = {channel(seed, block, "CCD1", "E").gain_e_per_adu for seed in (3, 4) for block in ("BORN", "CURIE")}
    assert len(gains) == 4


def test_a00_can_be_set():
    weaker = with_a00(CHANNELS[0], -3e-7)
    assert weaker.a00_per_e == pytest.approx(-3e-7)
    assert weaker.gain_e_per_adu == CHANNELS[0].gain_e_per_adu
    assert with_a00(CHANNELS[0], 0.0).a00_per_e == 0


def test_a_block_without_offsets_gets_the_usual_one():
    assert abs(channel(0, "NOSUCHBLOCK", "CCD1", "E").offset.level_adu - 2800) <= 30
