"""Flags of the photon transfer: channels without data, and fits that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vison_etl.effects.declare import Flag
from vison_etl.effects.photon_transfer.adoption import is_good
from vison_etl.effects.photon_transfer.channel import Channel
from vison_etl.effects.photon_transfer.goodness import describes, p_value
from vison_etl.effects.photon_transfer.inputs import Key
from vison_etl.effects.photon_transfer.model import Model


def flags(channels: Mapping[Key, Channel], p_limit: float) -> Iterator[Flag]:
    """Yield NO_PAIRS and BADFIT.

    NO_PAIRS: channels without data. BADFIT: channels whose adopted fit has no curve, or does not describe the data (chi2) or the
    levels (level_chi2) at a probability below ``p_limit``, or where covariances were measured and their fit was not adopted for
    such a reason; or all, where the sum of the level chi-squares over the channels is less probable than that: a shape that
    is wrong everywhere by less than one channel can tell.
    """
    missing = [key for key, channel in channels.items() if channel.fit.status == "no_data"]
    if missing:
        yield Flag("NO_PAIRS", len(missing), ", ".join(f"{ccd} {quadrant}" for ccd, quadrant in missing))
    verdicts = {key: _verdict(channel, p_limit) for key, channel in channels.items() if key not in missing}
    bad = [f"{ccd} {quadrant}: {verdict}" for (ccd, quadrant), verdict in verdicts.items() if verdict]
    if bad:
        yield Flag("BADFIT", len(bad), "; ".join(bad))
        return
    levels = [channel.level_chi2[channel.adopted] for channel in channels.values()]
    levels = [level for level in levels if level[1] > 0]
    total, dof = sum(chi2 for chi2, _ in levels), sum(dof for _, dof in levels)
    if not describes([(total, dof)], p_limit):
        p = p_value(total, dof)
        yield Flag("BADFIT", len(levels), f"levels of all channels: chi2 {total:.1f} for {dof} dof, p = {p:.1e}")


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
    level, level_dof = channel.level_chi2[model]
    return f"{model} chi2 {fit.chi2:.1f} for {fit.dof} dof, of the levels {level:.1f} for {level_dof}"
