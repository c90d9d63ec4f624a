"""Points of the curve: means over the tiles of a pair, and why a pair is not used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vison_etl.effects.photon_transfer.model import Floats, Mask
from vison_etl.effects.photon_transfer.tiles import Tiles


@dataclass(frozen=True, slots=True)
class Pair:
    """One point of the curve: means over the tiles used (over the measured ones if none is). NaN where there is none."""

    pair: int
    mean_adu: float
    mean_adu_err: float
    variance_adu2: float
    variance_adu2_err: float
    n_tiles: int
    n_tiles_used: int
    reject_reason: str | None


def pair_point(tiles: Tiles, label: int, measured: Mask, used: Mask, reasons: Mapping[str, Mask]) -> Pair:
    """Average the tiles of one pair; its reason is the one most of its tiles have."""
    here = tiles.pair == label
    chosen = here & used if (here & used).any() else here & measured
    n = int(np.count_nonzero(chosen))
    reason: str | None = None
    if not (here & used).any():
        counts = {name: int(np.count_nonzero(here & mask)) for name, mask in reasons.items()}
        reason = max(counts, key=lambda name: counts[name]) if any(counts.values()) else "too_few_tiles"

    def mean(values: Floats) -> float:
        return float(np.mean(values[chosen])) if n else math.nan

    def error(values: Floats) -> float:
        return float(np.sqrt(np.sum(values[chosen] ** 2))) / n if n else math.nan

    return Pair(
        pair=label,
        mean_adu=mean(tiles.mean_adu),
        mean_adu_err=error(tiles.mean_adu_err),
        variance_adu2=mean(tiles.variance_adu2),
        variance_adu2_err=error(tiles.variance_adu2_err),
        n_tiles=int(np.count_nonzero(here & measured)),
        n_tiles_used=int(np.count_nonzero(here & used)),
        reject_reason=reason,
    )
