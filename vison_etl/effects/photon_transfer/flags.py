"""Flags of the photon transfer: channels without data, and fits that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from vison_etl.effects.declare import Flag
from vison_etl.effects.photon_transfer.adoption import is_good
from vison_etl.effects.photon_transfer.channel import Channel
from vison_etl.effects.photon_transfer.goodness import describes, p_value
from vison_etl.effects.photon_transfer.inputs import Key
from vison_etl.effects.photon_transfer.model import Model

MIXING_SIGMA = 3.0
"""Significance of a mixing of neighbours, in the mean over the channels."""

MIXING_OF_ONE_SIGMA = 4.0
"""Significance in one of twelve channels."""

MIXING_GAIN_PCT = 0.05
"""Least bias of the gain by mixing that matters."""


def flags(channels: Mapping[Key, Channel], p_limit: float) -> Iterator[Flag]:
    """Yield NO_PAIRS, MIXING and BADFIT.

    NO_PAIRS: channels without data. BADFIT: channels whose adopted fit has no curve, or does not describe the data (chi2) or the
    levels (level_chi2, variance_chi2) at a probability below ``p_limit``, or where covariances were measured and their fit was not adopted for
    such a reason; or all, where the sum of the level chi-squares over the channels is less probable than that: a shape that
    is wrong everywhere by less than one channel can tell. MIXING: the gain is biased by more than 0.05 % by charge that moves to the next pixel, at
    3 sigma in the mean over the channels or 4 sigma in one.
    """
    missing = [key for key, channel in channels.items() if channel.fit.status == "no_data"]
    if missing:
        yield Flag("NO_PAIRS", len(missing), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in missing))
    yield from mixing_flag(channels)
    verdicts = {key: _verdict(channel, p_limit) for key, channel in channels.items() if key not in missing}
    bad = [f"{ccd} {quadrant}: {verdict}" for (ccd, quadrant), verdict in verdicts.items() if verdict]
    if bad:
        yield Flag("BADFIT", len(bad), "; ".join(bad))
        return
    for k, what in enumerate(("levels", "variances of the levels")):
        found = [channel.level_chi2[channel.adopted][k : k + 1] for channel in channels.values()]
        chi2 = [one for pairs in found for one in pairs if one[1] > 0]
        total, dof = sum(value for value, _ in chi2), sum(count for _, count in chi2)
        if not describes([(total, dof)], p_limit):
            p = p_value(total, dof)
            yield Flag("BADFIT", len(chi2), f"{what} of all channels: chi2 {total:.1f} for {dof} dof, p = {p:.1e}")
            return


def mixing_flag(channels: Mapping[Key, Channel]) -> Iterator[Flag]:
    """Yield MIXING, if it matters; fits with c = 0 say nothing, because c that is not zero looks like mixing."""
    fits = {key: channel.covariances.chosen for key, channel in channels.items()}
    found = {key: fit.mixing for key, fit in fits.items() if fit.status == "ok" and fit.c_is_free}
    if not found:
        return
    weight = sum(one.gain_bias_err**-2 for one in found.values())
    mean, error = sum(one.gain_bias * one.gain_bias_err**-2 for one in found.values()) / weight, 1.0 / math.sqrt(weight)
    words = [
        f"{ccd} {quadrant}: {100 * one.gain_bias:.2f} +- {100 * one.gain_bias_err:.2f} % of the gain"
        for (ccd, quadrant), one in found.items()
        if _matters(one.gain_bias, one.gain_bias_err, MIXING_OF_ONE_SIGMA)
    ]
    if _matters(mean, error, MIXING_SIGMA):
        words.insert(0, f"mean of {len(found)} channels: {100 * mean:.2f} +- {100 * error:.2f} % of the gain")
    if words:
        yield Flag("MIXING", len(words), "; ".join(words))


def _matters(bias: float, error: float, sigma: float) -> bool:
    return abs(bias) > max(sigma * error, MIXING_GAIN_PCT / 100.0)


def _verdict(channel: Channel, p_limit: float) -> str:
    """Return what is wrong with the fits of a channel; nothing if nothing is."""
    bad: list[Model] = []
    if channel.adopted == "exponential" and channel.fits["covariance"].status != "no_data":
        bad.append("covariance")
    if not is_good(channel.adopted, channel.fits, channel.level_chi2, p_limit):
        bad.append(channel.adopted)
    return "; ".join(_words(channel, model) for model in bad)


def _words(channel: Channel, model: Model) -> str:
    fit = channel.fits[model]
    if fit.status != "ok":
        return f"{model} {fit.status}"
    chi2 = [(fit.chi2, fit.dof), *channel.level_chi2[model]]
    parts = zip(("", ", of the levels", ", of their variances"), chi2, strict=False)
    return f"{model} chi2" + "".join(f"{what} {value:.1f} for {dof} dof" for what, (value, dof) in parts)
