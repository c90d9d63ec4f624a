"""What went in of deferred charge, bounce and full well, in the tables that results come out in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from vison_etl.instrument.geometry import Geometry
from vison_etl.simulate.bench import Bench
from vison_etl.simulate.response import in_condition
from vison_etl.simulate.transfer import TAIL_PX, Transfer, tail, transfer
from vison_etl.simulate.truth_rows import Acquired, Row, channels, flats, keys


def _transfers(geometry: Geometry, direction: str) -> int:
    return geometry.image_rows if direction == "parallel" else geometry.prescan + geometry.image_columns


def _deferred(truth: Transfer, geometry: Geometry, direction: str) -> NDArray[np.float64]:
    """Return the deferred charge of the overscan pixels behind a flat field over its level, shape (TAIL_PX,)."""
    cti = truth.parallel_cti if direction == "parallel" else truth.serial_cti
    late = np.arange(TAIL_PX)
    # the pixel j before the edge makes j transfers less than the last one; pixel k after it gets what is k + j late
    left = tail(direction) * cti
    sent = [left[k:] @ (_transfers(geometry, direction) - late[: TAIL_PX - k]) for k in range(TAIL_PX)]
    return np.array(sent, np.float64)


def cti_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the charge-transfer inefficiency for each column of flats, below full well.

    ``cti`` is that of the extended pixel edge response, which counts a charge for every pixel that it comes late; ``first_pixel_cti``
    is the fraction left behind per transfer.
    """
    for column in sorted({e.script_column for e in flats(acquired)}):
        for channel in channels(bench):
            for direction in ("parallel", "serial"):
                per_transfer = _deferred(transfer(channel), bench.geometry, direction) / _transfers(
                    bench.geometry, direction
                )
                yield keys(bench, acquired, channel) | {
                    "script_column": column,
                    "direction": direction,
                    "cti": float(per_transfer.sum()),
                    "first_pixel_cti": float(per_transfer[0]),
                }


def edge_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the response of the overscan pixels: deferred charge of the last image pixels, and the bounce along rows."""
    if not flats(acquired):
        return
    for channel in channels(bench):
        truth = transfer(channel)
        for direction in ("parallel", "serial"):
            for index, deferred in enumerate(_deferred(truth, bench.geometry, direction)):
                bounce = truth.bounce if direction == "serial" and index == 0 else 0.0
                yield keys(bench, acquired, channel) | {
                    "direction": direction,
                    "pixel": index + 1,
                    "response": float(deferred) + bounce,
                }


def separation_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the bounce along rows; there is none along columns."""
    if not flats(acquired):
        return
    for channel in channels(bench):
        for direction in ("parallel", "serial"):
            bounce = transfer(channel).bounce if direction == "serial" else None
            yield keys(bench, acquired, channel) | {"direction": direction, "bounce": bounce}


def full_well_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the full well of each channel, for acquisitions of flats."""
    if not flats(acquired):
        return
    for channel in channels(bench):
        gain = in_condition(channel, acquired[0].shot.setup).gain_e_per_adu
        full = {"full_well_adu": channel.full_well_e / gain, "full_well_e": channel.full_well_e}
        yield keys(bench, acquired, channel) | full


TABLES: Mapping[str, Callable[[Bench, Acquired], Iterator[Row]]] = {
    "cti": cti_rows,
    "edge_response": edge_rows,
    "edge_separation": separation_rows,
    "full_well": full_well_rows,
}
