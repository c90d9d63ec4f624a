"""Covariances of the pairs of non-linearity tests with known truth, made without the code under test.

The charge of a pair has the covariances that the differential equation of the brighter-fatter effect gives
(`covariance_fit_truth`), at the linear signal of each tile and frame; the chain multiplies them with the square of the slope of its
response, then adds read noise and what particles below the clip leave.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from tests.closure.covariance_fit_truth import QUADRANT_PX, REACH, Sample, Truth, roots, tabulated
from tests.closure.nl_truth import FULL_SCALE, SATURATION_S, Frames, commanded, response_adu
from tests.effects.photon_transfer.ptc_covariance_frames import LAGS, covariance_frame

TRACK_PX = 12


@cache
def nominal(test: str) -> dict[tuple[str, float], float]:
    """Return the linear signal of each lit (filter, time), a fraction of full scale; two digits, so that few levels are different."""
    times, labels, _ = commanded(test)
    return {(w, t): float(f"{t / SATURATION_S[w]:.2g}") for w, t in zip(labels, times, strict=True) if t > 0.0}


def pairs_in(frames: Frames) -> list[tuple[int, int]]:
    """Return the pairs 1-2, 3-4 ... of each column with light, none of whose tiles is saturated."""
    columns = np.array(frames.column)
    found = []
    for column in dict.fromkeys(frames.column):
        members = np.flatnonzero((columns == column) & (frames.time_s > 0.0))
        found += list(zip(members[::2].tolist(), members[1::2].tolist(), strict=False))
    return [pair for pair in found if np.isfinite(frames.signal[list(pair)]).all()]


def tracks(particles_adu2: float) -> np.ndarray:
    """Return the covariances of straight tracks, half along x and half along y, ``particles_adu2`` in all at lag 0."""
    lag = np.maximum(0.0, 1.0 - np.arange(REACH) / TRACK_PX)
    found = np.zeros((REACH, REACH))
    found[0, :], found[:, 0] = 0.5 * lag, 0.5 * lag
    found[0, 0] = 1.0
    return particles_adu2 * found


def sample(
    rng: np.random.Generator,
    frames: Frames,
    truth: Truth,
    *,
    particles_adu2: float = 0.0,
    wrong_slope: float = 0.0,
    n_px: int = QUADRANT_PX,
) -> Sample:
    """Draw the covariances of the pairs of one channel. ``wrong_slope``: variance multiplied by signal^wrong_slope, which no response does."""
    pairs = pairs_in(frames)
    lit, both = np.array(pairs), frames.linear[np.array(pairs)]
    seen = frames.signal[lit]
    means = seen.mean(axis=2)
    curve, _, _ = tabulated(truth)
    step = 1e-4 * both
    response = frames.bench.response
    slope = (response_adu(response, both + step) - response_adu(response, both - step)) / (2.0 * step)
    charge = np.mean((slope**2 * (both / FULL_SCALE) ** wrong_slope)[..., None, None] * curve(both), axis=2)
    balance = means / means.mean(axis=1, keepdims=True)
    n00 = np.zeros((REACH, REACH))
    n00[0, 0] = truth.n00_adu2
    w1, w2 = balance[:, 0, None, None], balance[:, 1, None, None]
    w = (w2**2 * (charge[:, 0] + n00) + w1**2 * (charge[:, 1] + n00)) / (2.0 * w1 * w2)
    w = w + np.where(means.mean(axis=1) > 4500.0, 1.0, 0.0)[:, None, None] * tracks(particles_adu2)
    named = nominal(frames.bench.test)
    keys = [(str(frames.label[k]), float(frames.time_s[k])) for k, _ in pairs]
    levels = tuple(sorted(set(named.values())))
    n = np.array([[(2048 - i) * (2066 - j) for j in range(REACH)] for i in range(REACH)]) * n_px / QUADRANT_PX
    noise, odd = [], []
    for key, expected in zip(keys, w, strict=True):
        of_mean, of_difference = roots(truth, levels)[levels.index(named[key])]
        # the scatter is that of the nominal level, scaled to the variance that there is
        scale = expected[0, 0] / _variance(truth, named[key])
        noise.append(scale * (of_mean @ rng.standard_normal(REACH**2)).reshape(REACH, REACH) / np.sqrt(n))
        difference = of_difference @ rng.standard_normal((REACH - 1) ** 2)
        odd.append(scale * difference.reshape(REACH - 1, REACH - 1) / np.sqrt(n[1:, 1:]))
    return Sample(
        mean_adu=means.mean(axis=1),
        imbalance=(means[:, 0] - means[:, 1]) / means.sum(axis=1),
        spread_adu=seen.mean(axis=1).std(axis=1),
        covariance_adu2=w + np.array(noise),
        difference_adu2=np.array(odd),
        n=np.broadcast_to(n, w.shape).copy(),
        level=np.arange(len(pairs)),
        noise_adu2=truth.n00_adu2,
        noise_adu2_err=0.0,
    )


@cache
def _variance(truth: Truth, fraction: float) -> float:
    return float(tabulated(truth)[0](fraction * FULL_SCALE)[0, 0] + truth.n00_adu2)


def pair_covariances(
    rng: np.random.Generator, frames: Frames, key: tuple[str, str], first_obsid: int, truth: Truth, **changes: float
) -> pl.DataFrame:
    """Return ``pair_covariances`` of one channel."""
    pairs = np.array(pairs_in(frames)).reshape(-1, 2)
    rows = covariance_frame(key, sample(rng, frames, truth, **changes))
    return rows.with_columns(
        script_column=pl.Series(np.repeat([frames.column[k] for k in pairs[:, 0]], len(LAGS))),
        obsid_1=pl.Series(first_obsid + np.repeat(pairs[:, 0], len(LAGS))),
        obsid_2=pl.Series(first_obsid + np.repeat(pairs[:, 1], len(LAGS))),
    )
