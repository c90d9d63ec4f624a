"""Writing one exposure: three frames and a housekeeping file. All that a worker process does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.frames import cards_of, write_frame
from vison_etl.elvis.housekeeping import write_hk
from vison_etl.instrument.geometry import Geometry, place_quadrant
from vison_etl.simulate.broken import broken_shot, damage_image
from vison_etl.simulate.detector import Channel, channel, with_a00
from vison_etl.simulate.electronics import frame_offset_adu
from vison_etl.simulate.exposure import CCDS, QUADRANTS, Exposure
from vison_etl.simulate.faults import HOT_DEGC, HOT_KEY, OFF_KEY, OFF_V, Fault, damage_exposure_files
from vison_etl.simulate.housekeeping import readings, version, written_keys
from vison_etl.simulate.quadrant import Options, expose
from vison_etl.simulate.settings import settings


@dataclass(frozen=True, slots=True)
class Bench:
    """What does not change from exposure to exposure: where to write, what is on the bench, how finely to simulate."""

    folder: Path
    block: str
    seed: int
    geometry: Geometry
    options: Options
    faults: tuple[Fault, ...] = ()


def bench_channel(bench: Bench, ccd: str, quadrant: str) -> Channel:
    """Return the truth of a channel with what the options change of it."""
    truth = channel(bench.seed, bench.block, ccd, quadrant)
    return truth if bench.options.a00_per_e is None else with_a00(truth, bench.options.a00_per_e)


def ccd_image(bench: Bench, exposure: Exposure, ccd: str) -> NDArray[np.uint16]:
    """Return the frame of one CCD as stored, uint16, shape (NAXIS2, NAXIS1)."""
    geometry, faults = bench.geometry, [fault for fault in bench.faults if fault.hits(exposure.obsid, ccd)]
    shot = broken_shot(exposure.shot, faults)
    image = np.zeros((geometry.naxis2, geometry.naxis1), np.uint16)
    offsets = {}
    for quadrant in QUADRANTS:
        truth = bench_channel(bench, ccd, quadrant)
        place_quadrant(image, geometry, quadrant, expose(truth, geometry, shot, bench.options))
        offsets[quadrant] = frame_offset_adu(truth, shot.obsid, shot.time_h)
    damage_image(image, geometry, faults, offsets)
    return image


def write_housekeeping(bench: Bench, exposure: Exposure) -> None:
    """Write the housekeeping of one exposure: readings spread evenly over exposure and read-out."""
    values = readings(bench.seed, bench.block, exposure.obsid, exposure.logged)
    kinds = {fault.kind for fault in bench.faults if fault.obsid == exposure.obsid}
    for kind, key, change in (("hot_hk", HOT_KEY, HOT_DEGC), ("wrong_voltage", OFF_KEY, OFF_V)):
        if kind in kinds:
            values[:, written_keys().index(key)] += change
    span_s = exposure.shot.exptime_s + settings()["time"]["readout_s"]
    times = [exposure.started_at + timedelta(seconds=int(i * span_s / len(values))) for i in range(len(values))]
    columns = {key: values[:, index].tolist() for index, key in enumerate(written_keys())}
    write_hk(bench.folder / exposure.hk_name, version(), times, columns)


def write_exposure(bench: Bench, exposure: Exposure) -> None:
    """Simulate one exposure and write its files into the folder of the bench, damaged as its faults want."""
    for ccd in CCDS:
        cards = cards_of(exposure.log_row(ccd), ccd) | {"COMMENTS": exposure.comments}
        write_frame(bench.folder / f"{exposure.file_name(ccd)}.fits", ccd_image(bench, exposure, ccd), cards)
    write_housekeeping(bench, exposure)
    damage_exposure_files(bench.folder, exposure, [f for f in bench.faults if f.obsid == exposure.obsid])


def write_exposures(bench: Bench, exposures: Sequence[Exposure]) -> int:
    """Write several exposures; return their number."""
    for exposure in exposures:
        write_exposure(bench, exposure)
    return len(exposures)
