"""What all tables of the truth share: channels, keys, kinds of exposures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from vison_etl.simulate.bench import Bench, bench_channel
from vison_etl.simulate.detector import Channel
from vison_etl.simulate.exposure import CCDS, QUADRANTS, Exposure

Row = dict[str, Any]
Acquired = Sequence[Exposure]
"""Exposures of one acquisition."""


def channels(bench: Bench) -> Iterator[Channel]:
    """Yield the truth of the twelve channels."""
    for ccd, quadrant in product(CCDS, QUADRANTS):
        yield bench_channel(bench, ccd, quadrant)


def keys(bench: Bench, acquired: Acquired, channel: Channel) -> Row:
    """Return the key columns of a row about a channel."""
    first = acquired[0]
    return {
        "block": bench.block,
        "test": first.test,
        "acquisition": first.acquisition,
        "ccd": channel.ccd,
        "quadrant": channel.quadrant,
    }


def is_lit(exposure: Exposure) -> bool:
    """Tell whether the shutter was open."""
    return exposure.shot.open_s > 0.0


def flats(acquired: Acquired) -> list[Exposure]:
    """Return the exposures lit by the flat source."""
    return [exposure for exposure in acquired if is_lit(exposure) and exposure.shot.setup.source == "flat"]
