"""Stability of a source against simulated truth: white noise, random walk, drift, and what each CCD adds.

What is claimed: values are unbiased; scatter of 15 exposures has an interval that covers; of a hundred exposures scatter and drift have
normal pulls even if the lamp walks. Fifteen exposures cannot tell a walk from white noise: there the error of the drift is too wide for
white noise and too narrow for a walk, within the bounds written here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from tests.pulls import assert_pulls
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.light_source.effect import EFFECT
from vison_etl.effects.light_source.noise_model import family, line_residuals, neighbour_differences
from vison_etl.effects.light_source.stability_model import allan, apart, shared, steadiness
from vison_etl.instrument.geometry import QUADRANTS, geometry_of
from vison_etl.pixels.histograms import region_statistics
from vison_etl.simulate.bench import Bench, bench_channel, ccd_image
from vison_etl.simulate.exposure import CCDS
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import Options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N = 400
STEP_H = 80.0 / 3600.0
DRIFT_PER_H = 3e-3
OF_CCD = np.array([2e-4, 4e-4, 6e-4])
PHOTON = 3e-4


@dataclass(frozen=True)
class Lamp:
    """Noise of a source: white from exposure to exposure, walk per square root of an hour."""

    white: float
    walk: float

    def covariance(self, hours):
        return self.white**2 * np.eye(hours.size) + self.walk**2 * np.minimum.outer(hours, hours)

    def levels(self, rng, hours):
        steps = rng.normal(0, self.walk * np.sqrt(STEP_H), hours.size - 1)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        return 1 + DRIFT_PER_H * hours + walk + rng.normal(0, self.white, hours.size)


WHITE, BOTH, WALKING = Lamp(2e-3, 0.0), Lamp(1e-3, 6.7e-3), Lamp(2e-4, 1e-2)


def series_of(lamp, n, number=N, seed=0):
    rng = np.random.default_rng(seed)
    hours = np.arange(n) * STEP_H
    series = family(hours)
    errors = np.full((3, n), PHOTON)
    for _ in range(number):
        x = lamp.levels(rng, hours) + rng.normal(0, 1, (3, n)) * np.hypot(OF_CCD, PHOTON)[:, None]
        yield series, x / x.mean(axis=1, keepdims=True), errors


def true_rms(lamp, n, further=0.0):
    hours = np.arange(n) * STEP_H
    covariance = lamp.covariance(hours) + further**2 * np.eye(n)
    return np.sqrt(np.trace(line_residuals(hours) @ covariance) / (n - 2)) / mean_level(hours)


def mean_level(hours):
    """All is relative to the mean of the series."""
    return 1 + DRIFT_PER_H * hours.mean()


def covered(values, errors, truth):
    return np.mean(np.abs(np.asarray(values, float) - truth) < np.asarray(errors, float))


def assert_unbiased(values, truth):
    """The mean is the truth within 3.3 of its standard errors."""
    values = np.asarray(values, float)
    assert abs(values.mean() - truth) < 3.3 * values.std() / np.sqrt(values.size)


@pytest.fixture(scope="module", params=[WHITE, BOTH, WALKING], ids=["white", "both", "walk"])
def long(request):
    found = [
        (shared(*one), apart(*one), steadiness(one[0], one[1][0], PHOTON)) for one in series_of(request.param, 100)
    ]
    return request.param, found


def test_scatter_of_a_hundred_exposures(long):
    lamp, found = long
    common, single = [both.source.rms for both, _, _ in found], [one.rms for _, _, one in found]
    for rms, truth in ((common, true_rms(lamp, 100)), (single, true_rms(lamp, 100, OF_CCD[0]))):
        assert_unbiased([r.value**2 for r in rms], truth**2)
        if lamp is WHITE:
            # an error in proportion to the value: the logarithm has the normal pulls
            mean_of_log = np.log(truth) - 0.5 / 98
            assert_pulls(np.log([r.value for r in rms]), [r.error / r.value for r in rms], mean_of_log)
        # the scatter of a walk is that of few independent numbers: skewed, but covered
        assert 0.6 < covered([r.value for r in rms], [r.error for r in rms], truth) < 0.78


def test_drift_of_a_hundred_exposures(long):
    lamp, found = long
    drifts = [both.source.drift for both, _, _ in found]
    values, errors = [d.value for d in drifts], [d.error for d in drifts]
    assert_unbiased(values, DRIFT_PER_H)
    if lamp is WHITE:
        # a walk cannot be excluded: wider than needed, by less than a half
        assert 0.65 < np.std((np.array(values) - DRIFT_PER_H) / errors) < 1.0
    else:
        assert_pulls(values, errors, DRIFT_PER_H)


def test_curvature_of_a_hundred_exposures(long):
    _, found = long
    bends = [both.source.curvature for both, _, _ in found]
    assert_unbiased([b.value for b in bends], 0.0)
    assert 0.6 < np.std([b.value / b.error for b in bends]) < 1.2


def test_an_error_from_the_residuals_alone_fails_where_the_lamp_walks():
    pulls = []
    for series, x, _ in series_of(WALKING, 100, 200):
        slope, covariance = np.polyfit(series.times, x.mean(axis=0), 1, cov=True)
        pulls.append((slope[0] - DRIFT_PER_H) / np.sqrt(covariance[0, 0]))
    assert np.sqrt(np.mean(np.square(pulls))) > 4


def test_what_each_ccd_adds(long):
    _, found = long
    for ccd, truth in enumerate(OF_CCD):
        variance = [one[ccd].variance for _, one, _ in found]
        assert_unbiased([v.value for v in variance], truth**2)
        assert 0.62 < covered([v.value for v in variance], [v.error for v in variance], truth**2) < 0.74
        drift = [one[ccd].drift for _, one, _ in found]
        assert_unbiased([d.value for d in drift], 0.0)
        assert 0.65 < np.std([d.value / d.error for d in drift]) < 1.1
    residual = [both.residual_rms for both, _, _ in found]
    truth = np.sqrt(np.mean(OF_CCD**2))
    assert_pulls([r.value for r in residual], [r.error for r in residual], truth)


@pytest.mark.parametrize(
    ("lamp", "drift_pull"),
    [(WHITE, (0.6, 1.0)), (BOTH, (1.0, 2.0)), (WALKING, (1.0, 2.2))],
    ids=["white", "both", "walk"],
)
def test_fifteen_exposures(lamp, drift_pull):
    found = [shared(*one) for one in series_of(lamp, 15)]
    rms = [f.source.rms for f in found if f.source.rms.value is not None]
    assert len(rms) > 0.98 * N
    truth = true_rms(lamp, 15)
    assert_unbiased([r.value**2 for r in rms], truth**2)
    # that the lamp may walk widens the interval
    assert 0.62 < covered([r.value for r in rms], [r.error for r in rms], truth) < 0.82
    drifts = [f.source.drift for f in found]
    assert_unbiased([d.value for d in drifts], DRIFT_PER_H)
    low, high = drift_pull
    assert low < np.sqrt(np.mean([((d.value - DRIFT_PER_H) / d.error) ** 2 for d in drifts])) < high


@pytest.mark.parametrize("lamp", [WHITE, BOTH, WALKING], ids=["white", "both", "walk"])
def test_allan_deviation(lamp):
    n = 60
    hours = np.arange(n) * STEP_H
    of_mean = np.mean(OF_CCD**2 + PHOTON**2) / 3
    points = [list(allan(series, x.mean(axis=0), 0.0)) for series, x, _ in series_of(lamp, n)]
    assert [point.n_averaged for point in points[0]] == [1, 2, 4, 8, 16]
    for index, m in enumerate([1, 2, 4, 8, 16]):
        rows = neighbour_differences(n, m)
        noise = np.trace(rows @ (lamp.covariance(hours) + of_mean * np.eye(n)) @ rows.T) / len(rows)
        truth = np.sqrt(0.5 * (noise + np.mean((rows @ hours * DRIFT_PER_H) ** 2)))
        found = [one[index].deviation for one in points]
        assert_unbiased([f.value**2 for f in found], truth**2)
        # long averages of a lamp that does not walk: that it may have walked widens the interval
        assert 0.6 < covered([f.value for f in found], [f.error for f in found], truth) < 0.95


SMALL = geometry_of(654, 552)


def simulated(seed, tmp_path):
    """Simulate FLAT_STB with a lamp that walks and CCDs that each see it a little differently; return the input and the true levels."""
    plan = plan_day("BORN", ["FLAT_STB"], datetime(2019, 3, 12, 8), 17001, chamber="B_BORN", seed=seed)  # noqa: DTZ001
    taken = exposures(plan)
    bench = Bench(tmp_path, "BORN", seed, SMALL, Options(cosmics_per_quadrant=0.0, nonlinearity=0.0))
    rng = np.random.default_rng(seed)
    hours = np.array([(e.started_at - taken[0].started_at).total_seconds() / 3600 for e in taken])
    levels = Lamp(2e-3, 1e-2).levels(rng, hours) * (1 + rng.normal(0, 1, (3, hours.size)) * 5 * OF_CCD[:, None])
    statistics = []
    for index, exposure in enumerate(taken):
        for number, ccd in enumerate(CCDS):
            lit = replace(exposure, shot=replace(exposure.shot, level=float(levels[number, index])))
            image = ccd_image(bench, lit, ccd)
            rows = region_statistics(image, SMALL, 0, SMALL.quadrant_rows)
            statistics += [{"obsid": exposure.obsid, "ccd": ccd, **row} for row in rows]
    gains = [
        {
            "ccd": c,
            "quadrant": q,
            "gain_e_per_adu": bench_channel(bench, c, q).gain_e_per_adu,
            "gain_e_per_adu_err": 0.01,
        }
        for c in CCDS
        for q in QUADRANTS
    ]
    log = [
        {"obsid": e.obsid, "ccd": c, "exptime_s": e.shot.exptime_s, "started_at": e.started_at, "filter": "800"}
        for e in taken
        for c in CCDS
    ]
    given = CalibrationInput(
        test="FLAT_STB",
        wavelength_nm=800.0,
        parameters=EFFECT.parameters,
        exposures=pl.DataFrame(log).with_columns(wavelength_nm=pl.lit(800.0)),
        statistics=pl.DataFrame(statistics, infer_schema_length=None),
        measured={},
        gain=pl.DataFrame(gains),
    )
    return given, levels


def test_through_pixels(tmp_path):
    """Two blocks of twelve channels: the track is the true one within photon noise, and so are the sums made of it."""
    pulls, residual_pulls = [], []
    for seed in (5, 6):
        given, levels = simulated(seed, tmp_path)
        tables = EFFECT.calibrate(given).tables
        relative = levels / levels.mean(axis=1, keepdims=True)
        assert tables["common_mode"]["n_channels"].to_list() == [12]
        for number, ccd in enumerate(CCDS):
            track = tables["source_track"].filter(scope=ccd).sort("obsid")
            truth_pct = 100 * (relative[number] - 1)
            pulls.append((track["deviation_pct"].to_numpy() - truth_pct) / track["deviation_pct_err"].to_numpy())
            apart_pct = 100 * (relative[number] - relative.mean(axis=0))
            residual_pulls.append((track["residual_pct"].to_numpy() - apart_pct) / track["residual_pct_err"].to_numpy())
        hours = tables["source_track"].filter(scope="common").sort("obsid")["elapsed_h"].to_numpy()
        projector = line_residuals(hours)
        for number, row in enumerate(tables["stability"].sort("ccd").iter_rows(named=True)):
            truth = 100 * np.sqrt(np.sum((projector @ relative[number]) ** 2) / (hours.size - 2))
            assert row["rms_pct"] == pytest.approx(truth, abs=3.3 * row["photon_pct"] / np.sqrt(hours.size - 2))
            assert row["rms_pct_err"] > 5 * row["photon_pct"]
    # a mean was taken off each: one degree of freedom of 15 less
    for found in (pulls, residual_pulls):
        flat = np.concatenate(found) * np.sqrt(15 / 14)
        assert_pulls(flat, np.ones(flat.size), 0.0)
    tau = tables["allan_deviation"].filter(scope="common").sort("n_averaged")["tau_s"].to_list()
    assert all(later == pytest.approx(2 * earlier) for earlier, later in pairwise(tau))
