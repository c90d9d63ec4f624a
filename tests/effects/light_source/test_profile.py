"""The proposed chamber profile."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from vison_etl.effects.light_source.profile import combine, measured, profile_text


def rows(label, test, seconds, error, offset=0.03, n=12):
    return [
        {
            "label": label,
            "test": test,
            "run_id": f"run_of_{test}",
            "saturation_s": seconds * (1 + 0.01 * k / n),
            "saturation_s_err": error,
            "shutter_offset_s": offset,
            "shutter_offset_s_err": None if offset is None else 2e-3,
        }
        for k in range(n)
    ]


def test_the_errors_of_channels_that_see_one_lamp_do_not_average_away():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(400):
        lamp, channels = rng.normal(0, 0.02), rng.normal(0, 0.05, 12)
        found = combine(list(4.0 + lamp + channels), [0.02] * 12)
        pulls.append((found.value - 4.0) / found.error)
    assert abs(np.mean(pulls)) < 3.3 / 20
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert combine([2.0], [0.1]).error == pytest.approx(0.1)


def test_it_is_toml_with_only_what_was_measured():
    found = measured(
        [*rows("800", "PTC01", 3.51, 0.004), *rows("800", "FLATFLUX00_800", 3.6, 0.02), *rows("590", "X", 9, 1, None)]
    )
    text = profile_text("A_DIRAC_BORN", "A_DIRAC", found)
    read = tomllib.loads(text)["A_DIRAC_BORN"]
    assert set(read) == {"flat_s", "shutter_offset_s"}
    assert list(read["flat_s"]) == ["590", "800"]
    assert read["flat_s"]["800"] == pytest.approx(3.51 * 1.00458, abs=1e-3)
    assert read["shutter_offset_s"] == {"800": 0.03}
    line = next(line for line in text.splitlines() if line.startswith("800 = 3.5"))
    assert "PTC01, run run_of_PTC01, 12 channels; was 3.4" in line
    assert "+- 0.005" in line


def test_a_name_with_other_signs_is_quoted():
    assert tomllib.loads(profile_text("my chamber", None, measured(rows("0", "NL01", 500.0, 0.5))))["my chamber"]
