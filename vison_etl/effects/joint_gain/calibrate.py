"""From the tiles and covariances of several tests to one gain per channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from vison_etl.effects.covariance.joint import JointFit, joint_fit
from vison_etl.effects.covariance.record import CovarianceFit, Prior
from vison_etl.effects.declare import Calibrated, CalibrationInput, Flag
from vison_etl.effects.photon_transfer.channel import fit_without_prior
from vison_etl.effects.photon_transfer.goodness import describes, p_value
from vison_etl.effects.photon_transfer.inputs import Key, channels_of, rules_of, tiles_of_used_frames
from vison_etl.effects.photon_transfer.model import NoisePrior
from vison_etl.effects.rows import result_frame

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _OfTest:
    """Fit of one channel in one test, and what its prescans say."""

    fit: CovarianceFit
    prior: NoisePrior | None


def calibrate(inputs: CalibrationInput) -> Calibrated:
    """Fit one gain and one noise to all tests whose frames are given, with area coefficients of each.

    The tables of ``inputs.measured`` (``pair_tiles``, ``pair_covariances``), ``statistics`` and ``exposures`` have a column
    ``test``; ``statistics`` may have ``wavelength_nm``. In each test pairs are chosen as photon transfer does. A test without
    covariances, or whose fit is not ``ok``, takes no part; with fewer than two a channel has status ``no_data``.

    The prior of the noise is the mean of those of the tests that take part, with the mean of their errors: what image and prescan
    differ by is common to all.

    Flags: NO_PAIRS, channels with fewer than two tests. BADFIT, channels whose gains differ between the tests (chi2 less probable
    than ``common_gain_p``) or one of whose fits does not describe its pairs (``badfit_p``).
    """
    tests = _tests_of(inputs)
    of_tests = {test: dict(_fits(_only(inputs, test))) for test in tests}
    wavelengths = {test: _wavelength(inputs, test) for test in tests}
    keys = list(dict.fromkeys(key for fits in of_tests.values() for key in fits))
    gains: list[Row] = []
    parts: list[Row] = []
    missing, bad = [], []
    for key in keys:
        mine = [of_tests[test][key] for test in tests]
        found = joint_fit([one.fit for one in mine], _common_prior(mine))
        name = f"{key[0]} {key[1]}"
        if found.status != "ok":
            missing.append(name)
        elif verdict := _verdict(found, mine, inputs):
            bad.append(f"{name}: {verdict}")
        gains.append(_gain_row(key, found, mine))
        parts += _test_rows(key, found, tests, mine, wavelengths)
    tables = {
        "joint_gain": result_frame("joint_gain", gains),
        "joint_gain_tests": result_frame("joint_gain_tests", parts),
    }
    raised = (("NO_PAIRS", missing), ("BADFIT", bad))
    return Calibrated(tables, tuple(Flag(flag, len(each), "; ".join(each)) for flag, each in raised if each))


def _tests_of(inputs: CalibrationInput) -> list[str]:
    covariances = inputs.measured.get("pair_covariances")
    tests = [] if covariances is None else covariances["test"].unique().to_list()
    return sorted(str(test) for test in tests if test is not None)


def _only(inputs: CalibrationInput, test: str) -> CalibrationInput:
    """Return what one test alone would be given."""
    is_mine = pl.col("test") == test
    measured = {name: frame.filter(is_mine) for name, frame in inputs.measured.items() if "test" in frame.columns}
    statistics = inputs.statistics.filter(is_mine) if "test" in inputs.statistics.columns else inputs.statistics
    return replace(inputs, test=test, measured=measured, statistics=statistics)


def _fits(inputs: CalibrationInput) -> Iterator[tuple[Key, _OfTest]]:
    rules = rules_of(inputs.parameters)
    for key, given in channels_of(inputs, tiles_of_used_frames(inputs)):
        covariances, prior = fit_without_prior(given, rules)
        yield key, _OfTest(covariances.chosen, prior)


def _wavelength(inputs: CalibrationInput, test: str) -> float | None:
    """Return the wavelength of a test; None where its exposures have none, or several."""
    if not {"test", "wavelength_nm"} <= set(inputs.statistics.columns):
        return None
    found = inputs.statistics.filter(pl.col("test") == test)["wavelength_nm"].drop_nulls().unique().to_list()
    return float(found[0]) if len(found) == 1 else None


def _common_prior(mine: Sequence[_OfTest]) -> Prior | None:
    priors = [one.prior for one in mine if one.fit.status == "ok" and one.prior is not None]
    if not priors:
        return None
    n00, sigma = np.mean([(prior.n00_adu2, prior.sigma_adu2) for prior in priors], axis=0)
    return Prior(float(n00), float(sigma))


def _verdict(found: JointFit, mine: Sequence[_OfTest], inputs: CalibrationInput) -> str:
    """Return what is wrong with a channel; nothing if nothing is."""
    p = p_value(found.chi2, found.dof)
    if p < float(inputs.parameters["common_gain_p"]):
        return f"gains differ, chi2 {found.chi2:.1f} for {found.dof} dof, p = {p:.1e}"
    limit = float(inputs.parameters["badfit_p"])
    used = [mine[k].fit for k in found.used.tolist()]
    poor = [fit for fit in used if not describes(fit.goodness, limit)]
    return "; ".join(f"chi2 {fit.chi2:.1f} for {fit.dof} dof, of the levels {fit.level_chi2:.1f}" for fit in poor)


def _gain_row(key: Key, found: JointFit, mine: Sequence[_OfTest]) -> Row:
    row: Row = {
        "ccd": key[0],
        "quadrant": key[1],
        "gain_e_per_adu": found.gain_e_per_adu,
        "gain_e_per_adu_err": found.gain_e_per_adu_err,
        "n_tests": int(found.used.size),
        "chi2": found.chi2,
        "dof": found.dof or None,
        "p_value": p_value(found.chi2, found.dof),
        "noise_chi2": found.noise_chi2,
        "noise_dof": found.noise_dof or None,
        "status": found.status,
        "n_points": sum(mine[k].fit.n_points for k in found.used.tolist()),
    }
    if found.status == "ok":
        row |= {"n00_adu2": found.n00_adu2, "n00_adu2_err": found.n00_adu2_err}
    return row


def _test_rows(
    key: Key,
    found: JointFit,
    tests: Sequence[str],
    mine: Sequence[_OfTest],
    wavelengths: Mapping[str, float | None],
) -> Iterator[Row]:
    places = {k: place for place, k in enumerate(found.used.tolist())} if found.status == "ok" else {}
    for k, (test, one) in enumerate(zip(tests, mine, strict=True)):
        row: Row = {
            "ccd": key[0],
            "quadrant": key[1],
            "source_test": test,
            "wavelength_nm": wavelengths[test],
            "chi2": one.fit.chi2,
            "dof": one.fit.dof if one.fit.has_values else None,
            "status": one.fit.status,
            "n_points": one.fit.n_points,
        }
        if k in places:
            row |= _values(found, places[k])
        yield row


def _values(found: JointFit, place: int) -> Row:
    value, errors = found.coefficients[place], np.sqrt(np.diag(found.covariances[place]))
    reach = value.reach
    row: Row = {
        "gain_e_per_adu": float(found.separate_gain_e_per_adu[place]),
        "gain_e_per_adu_err": float(found.separate_gain_e_per_adu_err[place]),
    }
    for name, lag in (("a00", (0, 0)), ("a10", (1, 0)), ("a01", (0, 1))):
        if max(lag) < reach:
            row[f"{name}_per_e"] = float(value.a_per_e[lag])
            row[f"{name}_per_e_err"] = float(errors[1 + lag[0] * reach + lag[1]])
    return row
