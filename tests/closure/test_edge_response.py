"""Bounce, deferred charge and full well of many channels against simulated truth: unbiased, with honest errors, told apart."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest

from tests.closure import edge_frames
from tests.closure.edge_frames import GAIN, TRANSFERS, Silicon, calibration_input, flats, quadrant_of
from tests.effects.edge_response.edge_truth import MOT_FF, PARALLEL, PTC01, Edge, draw, draw_leading
from tests.pulls import assert_pulls
from vison_etl.effects.edge_response.calibrate import calibrate
from vison_etl.effects.edge_response.leading import leading_bounce
from vison_etl.effects.edge_response.lines import Overscan
from vison_etl.effects.edge_response.model import Options, separate
from vison_etl.instrument.geometry import QUADRANTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHANNELS = 400
SERIAL = Options((1.0, 10.0), has_bounce=True)
ALONG_COLUMNS = Options((0.2, 10.0), has_bounce=False)
TWO = ((0.6, 1.5), (0.4, 5.0))
CASES = {
    "1.5 px": Edge(),
    "3 px": Edge(species=((1.0, 3.0),), bounce=-1e-4),
    "6 px": Edge(species=((1.0, 6.0),)),
    "falls with signal": Edge(fall=0.3),
    "falls with signal, frames without light": Edge(fall=0.5, has_dark=True, species=((1.0, 2.0),)),
    "ends after 8 px": Edge(species=((1.0, 2.0),), end=8),
    "two species": Edge(species=TWO),
    "few frames": Edge(levels=MOT_FF, frames=2),
}


def results(edge: Edge, n: int, options: Options = SERIAL):
    rng = np.random.default_rng(20)
    out = []
    for _ in range(n):
        drawn = draw(rng, edge)
        overscan = Overscan(drawn.level, drawn.signal, drawn.error, edge.transfers)
        leading = None
        if options.has_bounce:
            leading = leading_bounce(drawn.level, *draw_leading(rng, edge, drawn), 52 / edge.transfers)
        found = separate(overscan, np.ones(drawn.level.size, bool), options, leading)
        assert found is not None
        out.append((drawn, found))
    return out


def bounces(found, k=0):
    """Return bounce in a pixel and error."""
    return np.array([(f.bounce.value[k], f.bounce.error[k]) for _, f in found]).T


def column(found, which, what):
    """Return CTI value, error, truth at the highest or lowest lit level."""
    lit = [np.flatnonzero(drawn.level > 0)[which] for drawn, _ in found]
    of = [(getattr(f, what), getattr(d, what)) for d, f in found]
    return np.array([(f.value[j], f.error[j], d[j]) for j, (f, d) in zip(lit, of, strict=True)]).T


@pytest.mark.parametrize("name", ["1.5 px", "falls with signal"])
def test_pulls(name):
    """Errors are right to a tenth in 400 channels."""
    found = results(CASES[name], CHANNELS)
    bounce, error = bounces(found)
    assert_pulls(bounce, error, 1e-4)
    assert 0.9 < np.std((bounce - 1e-4) / error) < 1.1
    for which, what in itertools.product((0, -1), ("cti", "eper_cti")):
        assert_pulls(*column(found, which, what))


@pytest.mark.parametrize("name", CASES)
def test_each_is_found_within_3_sigma_and_20_percent(name):
    edge = CASES[name]
    found = results(edge, 40)
    # two species and a settling bounce look alike in some channels, which say so
    assert np.mean([f.is_separate for _, f in found]) >= 0.9
    found = [each for each in found if each[1].is_separate]
    bounce, error = bounces(found)
    assert np.mean(np.abs(bounce - edge.bounce) < 3 * error) >= 0.9
    for what in ("cti", "eper_cti"):
        value, cti_error, truth = column(found, -1, what)
        assert np.mean(np.abs(value - truth) < 3 * cti_error) >= 0.9
        assert np.abs(value / truth - 1).max() < 0.2
    if name != "few frames":
        # the error is at most 8 %
        assert np.mean(np.abs(bounce / edge.bounce - 1) < 0.2) >= 0.95
    assert abs(bounce.mean() / edge.bounce - 1) < 0.06


@pytest.mark.parametrize(("cti", "bounce"), [(0.0, 1e-4), (1e-6, 0.0), (0.0, 0.0), (1e-7, 1e-4)])
def test_what_is_not_there_is_not_found(cti, bounce):
    edge = Edge(eper_cti=cti, bounce=bounce)
    found = results(edge, 60)
    values, errors = bounces(found)
    assert np.mean(np.abs(values - bounce) < 3 * errors) >= 0.95
    value, error, truth = column(found, -1, "eper_cti")
    assert np.mean(np.abs(value - truth) < 3 * error) >= 0.95
    assert np.median(error) < 2e-8
    # a bounce that is not seen may settle over any length
    assert np.median(errors) < 3e-5


def test_along_columns():
    """Errors are right to a tenth, or up to a fifth too large: they allow for a slow shift that is not there."""
    edge = Edge(bounce=0.0, transfers=PARALLEL, species=((1.0, 2.5),), white_adu=0.3)
    found = results(edge, CHANNELS, ALONG_COLUMNS)
    for which, what in itertools.product((0, -1), ("cti", "eper_cti")):
        value, error, truth = column(found, which, what)
        pulls = (value - truth) / error
        assert abs(pulls.mean()) < 3.3 / np.sqrt(CHANNELS)
        assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.1


def test_the_first_pixel_of_one_frame_separates_nothing():
    """What earlier campaigns gave is the sum of both: ten times the bounce, whose sign it does not even know."""
    for bounce in (1e-4, -1e-4):
        edge = Edge(bounce=bounce)
        drawn, found = results(edge, 1)[0]
        signal, level = drawn.signal[-1], drawn.level[-1]
        base = signal[12:15].mean()
        single = (signal[0] - base) / (level - base)
        assert single == pytest.approx(1.02e-3 + bounce, abs=2e-5)
        assert abs(single - bounce) > 8 * abs(bounce)
        assert found.bounce.value[0] == pytest.approx(bounce, rel=0.2)


def test_the_base_of_one_frame_hides_a_slow_release():
    """Pixels 13 to 15 hold a tenth of what is released over 6 px."""
    drawn, found = results(Edge(species=((1.0, 6.0),), bounce=0.0), 1)[0]
    signal, level = drawn.signal[-1], drawn.level[-1]
    single = (signal[0] - signal[12:15].mean()) / level
    truth = 2099 * drawn.cti[-1]
    assert single < 0.93 * truth
    assert found.response.value[0] == pytest.approx(truth, rel=0.03)


@pytest.fixture(scope="module")
def pixels() -> tuple[Silicon, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return silicon and tables of 24 channels through pixels, of flats of five fluences and three near full well."""
    silicon = Silicon(serial_cti=2e-6, parallel_cti=2e-6)
    tables = []
    for seed in range(6):
        rng = np.random.default_rng(300 + seed)
        quadrants = {name: quadrant_of(rng, silicon) for name in QUADRANTS}
        found = calibrate(calibration_input(flats(rng, quadrants))).tables
        tables.append([found[name] for name in ("edge_separation", "cti", "full_well")])
    return silicon, *(pl.concat(each) for each in zip(*tables, strict=True))


def test_bounce_through_pixels(pixels):
    silicon, separation, _, _ = pixels
    serial = separation.filter(direction="serial")
    assert serial.height == 24
    assert serial["status"].unique().to_list() == ["ok"]
    assert_pulls(serial["bounce"], serial["bounce_err"], silicon.bounce)
    # the leading edge of 256 rows knows little, and says so
    assert_pulls(serial["bounce_leading"], serial["bounce_leading_err"], silicon.bounce)
    assert abs(serial["bounce"].mean() - silicon.bounce) < 0.2 * silicon.bounce


@pytest.mark.parametrize("direction", ["serial", "parallel"])
def test_cti_through_pixels(pixels, direction):
    silicon, _, cti, _ = pixels
    for name in ("col003", "col005"):
        rows = cti.filter(direction=direction, script_column=name)
        level = float(rows["fluence_adu"].mean())
        # what comes m late into pixel k left a pixel that makes m - k transfers less: m - 1 for the first, (m - 1) / 2 on average for the sum
        late = edge_frames.LAGS
        release, fewer = silicon.release(direction), (late - 1) / TRANSFERS[direction]
        left = silicon.left_behind(direction, level)
        first, summed = float(release @ (1 - fewer)), float((release * late) @ (1 - fewer / 2))
        for what, truth in (("cti", left * first), ("eper_cti", left * summed)):
            assert_pulls(rows[what], rows[f"{what}_err"], truth)
            assert abs(rows[what].mean() / truth - 1) < 0.05


def test_full_well_through_pixels(pixels):
    silicon, _, _, full_well = pixels
    assert full_well.height == 24
    truth = silicon.full_well_adu
    assert (full_well["full_well_lower_adu"] < truth).all()
    assert (full_well["full_well_upper_adu"] > truth).all()
    np.testing.assert_allclose(full_well["full_well_e"], full_well["full_well_adu"] * GAIN)


def test_full_well_beyond_the_adc_is_a_lower_bound():
    rng = np.random.default_rng(400)
    silicon = dataclasses.replace(Silicon(), full_well_adu=90_000.0)
    quadrants = {name: quadrant_of(rng, silicon) for name in QUADRANTS}
    plan = {0.1: 2, 0.3: 2, 0.5: 2, 0.7: 2, 0.9: 2, 1.1: 2}
    rows = calibrate(calibration_input(flats(rng, quadrants, plan))).tables["full_well"]
    assert rows["status"].to_list() == ["bound"] * 4
    assert rows["full_well_adu"].null_count() == 4
    assert rows["full_well_lower_adu"].is_between(56_000, 60_000).all()
    assert PTC01[-1] < 0.9
