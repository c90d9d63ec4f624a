"""From a test as tables to the fitted responses: which channels take part, and whether their photon noise agrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.nonlinearity.arrays import Key, NoRunError, Run, arrange
from vison_etl.effects.nonlinearity.data import Noise, Tiles
from vison_etl.effects.nonlinearity.light import ShutterPrior
from vison_etl.effects.nonlinearity.model import JointFit, Response, fit_jointly
from vison_etl.effects.nonlinearity.noise import channel_noises, outlying_exposures, without_outlying_tiles
from vison_etl.effects.nonlinearity.pair_sums import PairSums
from vison_etl.effects.nonlinearity.pairs import NO_PAIRS, Checked, check, pair_sums
from vison_etl.effects.nonlinearity.response import make_basis
from vison_etl.effects.nonlinearity.structure import fit_responses, structure_in

_ROOM = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fit with the channels that took part in it, and why others did not; why the pattern of the tiles was not used, None if it was."""

    run: Run
    fit: JointFit
    keys: tuple[Key, ...]
    prior: ShutterPrior
    reasons: Mapping[Key, str]
    checked: Mapping[Key, Checked]
    distrust: str | None

    def of_channels(self) -> Iterator[tuple[Key, Tiles, Response]]:
        """Yield key, tiles and response of each channel that was fitted."""
        for key, response in zip(self.keys, self.fit.responses, strict=True):
            yield key, self.run.channels[key], response


def fit_run(inputs: CalibrationInput) -> Fitted | str:
    """Fit all channels together, or say why not.

    One channel that no smooth response describes spoils the common light of all. Where the fit of all fails, such channels are left
    out, if they are the smaller part.
    """
    try:
        run = arrange(inputs)
    except NoRunError as error:
        return str(error)
    channels = {key: _cleaned(run, tiles) for key, tiles in run.channels.items()}
    noises = dict(zip(channels, channel_noises(run.exposures, list(channels.values())), strict=True))
    reasons = dict(run.reasons)
    for key, tiles in channels.items():
        levels = np.unique(run.exposures.level[tiles.counts.any(axis=1)]).size
        if noises[key] is None:
            reasons[key] = "too few equal exposures"
        elif levels < int(inputs.parameters["min_levels"]):
            reasons[key] = f"{levels} levels"
    keys = tuple(key for key in channels if key not in reasons)
    if not keys:
        return next(iter(reasons.values()), "no tiles")
    known = float(inputs.parameters["shutter_prior_s" if run.shutter is None else "shutter_table_prior_s"])
    prior = ShutterPrior(known, float(inputs.parameters["shutter_own_prior_s"]))
    given = _Given(inputs, run, channels, noises, prior)
    found = _fit(given, keys)
    spoils = {} if _has_values(found) else _spoilers(given, keys)
    if 0 < len(spoils) < len(keys) / 2:
        reasons |= spoils
        keys = tuple(key for key in keys if key not in spoils)
        found = _fit(given, keys)
    if isinstance(found, str):
        return found
    fit, checked, distrust = found
    return Fitted(replace(run, channels=channels), fit, keys, prior, reasons, checked, distrust)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What the fits of any choice of channels have in common."""

    inputs: CalibrationInput
    run: Run
    channels: Mapping[Key, Tiles]
    noises: Mapping[Key, Noise | None]
    prior: ShutterPrior


_Found = tuple[JointFit, Mapping[Key, Checked], str | None]


def _fit(given: _Given, keys: tuple[Key, ...]) -> _Found | str:
    """Fit some channels together, or say why there is no solution."""
    run, inputs = given.run, given.inputs
    chosen = [given.channels[key] for key in keys]
    fit_to = partial(
        fit_jointly,
        run.exposures,
        chosen,
        basis=make_basis(_ROOM * max(float(np.nanmax(tiles.signal_adu)) for tiles in chosen)),
        shutter=given.prior,
        doubtful=outlying_exposures(run.exposures, chosen),
    )
    used = [noise for key in keys if (noise := given.noises[key]) is not None]
    sums = pair_sums(inputs, run, {key: given.channels[key] for key in keys})
    try:
        trusted = fit_responses(fit_to, run.exposures, chosen, used, [signal_range(tiles) for tiles in chosen])
        fit = trusted.fit
        checked = _checked(fit, keys, sums, float(inputs.parameters["ptc_p"]))
        if any(one.sums is not None for one in checked.values()):
            fit = fit_to(trusted.noises, pairs=[checked[key].sums for key in keys])
    except np.linalg.LinAlgError as error:
        return f"the equations have no solution: {error}"
    return fit, checked, trusted.distrust


def _has_values(found: _Found | str) -> bool:
    return not isinstance(found, str) and found[0].has_converged


def _spoilers(given: _Given, keys: tuple[Key, ...]) -> dict[Key, str]:
    """Return the channels whose tiles no smooth response describes, and that in words."""
    found = {}
    for key in keys:
        noise = given.noises[key]
        if noise is not None and (words := structure_in(given.run.exposures, [given.channels[key]], [noise])):
            found[key] = words
    return found


def _checked(fit: JointFit, keys: tuple[Key, ...], sums: Mapping[Key, PairSums], p_limit: float) -> dict[Key, Checked]:
    """Compare the pairs with the responses that the exposure times alone give; where that fit failed there is nothing to compare."""
    return {
        key: check(response, sums[key], p_limit) if key in sums and fit.has_converged else NO_PAIRS
        for key, response in zip(keys, fit.responses, strict=True)
    }


def _cleaned(run: Run, tiles: Tiles) -> Tiles:
    return replace(tiles, signal_adu=without_outlying_tiles(run.exposures, tiles))


def signal_range(tiles: Tiles) -> tuple[float, float]:
    """Return the faintest and brightest level of which most tiles count: where the curve has data all around."""
    whole = tiles.counts.mean(axis=1) > 0.5
    means = np.nanmean(tiles.signal_adu[whole], axis=1)
    return float(means.min()), float(means.max())
