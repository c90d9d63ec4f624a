from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.shots import BLOCK, CHAMBER, SMALL, image_of, replace, shot, signal_adu, truth_of
from vison_etl.instrument.chambers import chamber
from vison_etl.instrument.geometry import geometry_of
from vison_etl.simulate.quadrant import shot_spots
from vison_etl.simulate.settings import SimulationError
from vison_etl.simulate.spots import FWHM_PER_SIGMA, focus_of, spot_rate_adu_per_s, spot_truths, stamp

E, G = truth_of(quadrant="E"), truth_of(quadrant="G")
NO_PUSH = replace(E, shift=E.shift.scaled(0.0))
NOMINAL_MM = 47.2


def point(fraction=0.4, obsid=17001, label="800", **setup):
    return shot(obsid, fraction * chamber(CHAMBER).point_s[label], label=label, source="point", **setup)


def moments(image, x, y, radius):
    """Sum, centroid and variances of the light within a square about (x, y)."""
    x0, y0 = round(x), round(y)
    part = image[y0 - radius : y0 + radius + 1, x0 - radius : x0 + radius + 1]
    at = np.arange(-radius, radius + 1)
    total = part.sum()
    along_x, along_y = part.sum(axis=0) / total, part.sum(axis=1) / total
    mean_x, mean_y = at @ along_x, at @ along_y
    return total, mean_x + x0, mean_y + y0, at**2 @ along_x - mean_x**2, at**2 @ along_y - mean_y**2


@pytest.mark.parametrize("truth", [NO_PUSH, replace(G, shift=G.shift.scaled(0.0))])
def test_place_flux_and_width(truth):
    taken = point()
    image = image_of(signal_adu(truth, taken))
    for spot in shot_spots(truth, SMALL, taken):
        flux, x, y, var_x, var_y = moments(image, spot.x, spot.y, 6)
        total = spot.flux_e / truth.gain_e_per_adu
        noise = np.sqrt(spot.flux_e + 169 * 16) / truth.gain_e_per_adu
        assert flux == pytest.approx(total, abs=4 * noise)
        assert (x, y) == pytest.approx((spot.x, spot.y), abs=0.02)
        sigma_x, sigma_y = spot.sigma_px
        assert var_x - 1 / 12 == pytest.approx(sigma_x**2, rel=0.05)
        assert var_y - 1 / 12 == pytest.approx(sigma_y**2, rel=0.05)


def test_five_spots_scaled_to_the_quadrant():
    full = geometry_of(4238, 4172)
    small_at, full_at = ({s.spot: (s.x, s.y) for s in spot_truths(E, CHAMBER, "800", g)} for g in (SMALL, full))
    assert list(small_at) == ["ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO"]
    for name, (x, y) in full_at.items():
        assert small_at[name] == pytest.approx((x / 8, y * 256 / 2066), abs=1.0)
    assert full_at["BRAVO"][0] - full_at["ALPHA"][0] == pytest.approx(1183, abs=5)


def test_the_full_well_time_of_the_chamber_fills_the_peak():
    taken = point(1.0)
    image = next(iter(shot_spots(E, SMALL, taken)))
    truth = replace(image.truth, sigma_x_px=2.0 / FWHM_PER_SIGMA, sigma_y_px=2.0 / FWHM_PER_SIGMA)
    centred = replace(image, truth=truth, x=100.0, y=100.0, blur_px=0.0)
    peak, _, _ = stamp(centred)
    assert peak.max() / E.gain_e_per_adu == pytest.approx(65536 * E.response * truth.brightness, rel=1e-3)


def test_defocus_grows_the_second_moment_as_a_parabola():
    widths = {}
    for step in (-1.0, -0.6, 0.0, 0.6, 1.0):
        taken = point(0.3, mirror_mm=NOMINAL_MM + step)
        image = image_of(signal_adu(NO_PUSH, taken))
        spot = shot_spots(NO_PUSH, SMALL, taken)[2]
        widths[step] = moments(image, spot.x, spot.y, 8)[3]
        off = step - spot.truth.focus_mm
        assert widths[step] - 1 / 12 == pytest.approx(spot.truth.sigma_x_px**2 + (4.0 * off) ** 2 / 16, rel=0.06)
    assert np.argmin(list(widths.values())) == 2
    focus = focus_of(11, BLOCK, "CCD1")
    assert abs(spot.truth.focus_mm) < abs(focus.offset_mm) + 0.1


def test_charge_pushes_later_charge_out_of_the_core():
    strong = replace(E, shift=E.shift.scaled(5.0))
    taken = point(0.6)
    spot = shot_spots(E, SMALL, taken)[2]
    flat, pushed = (image_of(signal_adu(truth, taken)) for truth in (NO_PUSH, strong))
    before, after = (moments(image, spot.x, spot.y, 6) for image in (flat, pushed))
    assert after[0] == pytest.approx(before[0], rel=4e-3)
    assert after[3] > 1.02 * before[3]
    assert after[4] > 1.02 * before[4]


def test_the_stage_moves_all_spots_of_the_frame_one_way():
    for truth, sign in ((E, (1, -1)), (G, (-1, 1))):
        rest, moved = (shot_spots(truth, SMALL, point(stage_px=at)) for at in ((0.0, 0.0), (0.5, 0.25)))
        for a, b in zip(rest, moved, strict=True):
            assert (b.x - a.x, b.y - a.y) == pytest.approx((0.5 * sign[0], 0.25 * sign[1]))


def test_bright_spots_bloom_along_columns():
    taken = point(1.6)
    spot = shot_spots(E, SMALL, taken)[2]
    image = image_of(signal_adu(E, taken))
    assert image.max() < 1.1 * E.full_well_e / E.gain_e_per_adu
    _, _, _, var_x, var_y = moments(image, spot.x, spot.y, 8)
    assert var_y > 1.15 * var_x


def test_only_the_source_that_is_commanded_shines():
    dark_part = image_of(signal_adu(E, point()))[100:110, 60:80]
    assert dark_part.mean() == pytest.approx(0, abs=4 * 1.5 / np.sqrt(200))
    assert shot_spots(E, SMALL, shot(exptime_s=1.0)) == ()
    assert shot_spots(E, SMALL, shot(exptime_s=1.0, source="point", is_open=False)) == ()


def test_what_a_chamber_cannot_light():
    assert spot_rate_adu_per_s(CHAMBER, "800") > 65536 / 2.2 * 4
    with pytest.raises(SimulationError, match="no pattern"):
        spot_rate_adu_per_s("A_FEB18", "590")
    with pytest.raises(SimulationError, match="no point-source saturation time for filter 640"):
        spot_rate_adu_per_s(CHAMBER, "640")
