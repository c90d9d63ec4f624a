"""Damage on purpose, one file or row at a time, to try what has to survive it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from vison_etl.elvis.logcells import LogValue
from vison_etl.simulate.exposure import CCDS, QUADRANTS, Exposure
from vison_etl.simulate.settings import SimulationError

Kind = Literal[
    "truncate",
    "missing",
    "empty",
    "garbage",
    "lost_pixels",
    "dead_quadrant",
    "dead_ccd",
    "saturated",
    "high_background",
    "offset_jump",
    "noisy",
    "stuck_bit",
    "gradient",
    "source_on",
    "source_off",
    "wrong_source",
    "dim_source",
    "bright_source",
    "no_injection",
    "defocused",
    "spots_moved",
    "hot_hk",
    "wrong_voltage",
    "missing_hk",
    "cut_hk",
    "wrong_exptime",
    "wrong_test",
    "wrong_roe",
    "wrong_serials",
    "missing_row",
    "short_row",
    "binary_row",
]
"""What can be broken.

- ``truncate, missing, empty, garbage``: the frame file is cut in half, absent, of no bytes, of random bytes;
- ``lost_pixels, dead_quadrant, dead_ccd``: a 20 x 20 corner of the image area is 0; one quadrant or all hold their offset only;
- ``saturated``: the first fifth of the image rows of a quadrant is 65535;
- ``high_background, offset_jump, noisy, gradient``: one quadrant has 300 ADU more in the image area; 100 ADU more everywhere; 4 ADU
  of noise more; its signal falls and rises by 40 % from side to side;
- ``stuck_bit``: bit 4 of the ADC of one quadrant is always set;
- ``source_on, source_off, wrong_source``: the flat source shines into a dark exposure; no light comes; that of the other source;
- ``dim_source, bright_source``: 0.6 and 1.4 times the light;
- ``no_injection``: nothing is injected;
- ``defocused, spots_moved``: the mirror is 2 mm off; the spots are 60 px off along x and y;
- ``hot_hk, wrong_voltage, missing_hk, cut_hk``: CCD1 is 8 degC too warm on top; its output drain 0.5 V too high; the housekeeping
  file is absent; cut in half;
- ``wrong_exptime, wrong_test, wrong_roe, wrong_serials``: the log says 1.5 times the exposure time (1 s for none); another test;
  another read-out mode; serial numbers of no block;
- ``missing_row, short_row, binary_row``: a row of the log is absent, ends early, holds control bytes.
"""

HOT_DEGC = 8.0
HOT_KEY = "CCD1_TEMP_T"
OFF_V = 0.5
OFF_KEY = "CCD1_OD_T"
_OF_EXPOSURE = frozenset({"hot_hk", "wrong_voltage", "missing_hk", "cut_hk"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``ccd`` None means all CCDs of the exposure; ``quadrant`` is for quadrant faults, E by default."""

    kind: Kind
    obsid: int
    ccd: str | None = None
    quadrant: str = "E"

    def hits(self, obsid: int, ccd: str) -> bool:
        """Tell whether the frame or row of this exposure and CCD is meant."""
        return self.obsid == obsid and self.ccd in {None, ccd}


def as_faults(faults: Iterable[Fault | Mapping[str, Any]], obsids: Sequence[int]) -> tuple[Fault, ...]:
    """Check faults given as records or as mappings with the same names.

    Raises
    ------
    SimulationError
        For an unknown kind, CCD, quadrant or name, and for an exposure that is not simulated.
    """
    checked = []
    for given in faults:
        try:
            fault = given if isinstance(given, Fault) else Fault(**given)
        except TypeError as error:
            raise SimulationError(f"fault {given!r}: it needs kind and obsid, and may have ccd and quadrant") from error
        if fault.kind not in get_args(Kind):
            raise SimulationError(f"no fault {fault.kind!r}: one of {', '.join(get_args(Kind))}")
        if fault.ccd not in {None, *CCDS} or fault.quadrant not in QUADRANTS:
            raise SimulationError(f"fault {fault.kind}: no channel {fault.ccd} {fault.quadrant}")
        if fault.obsid not in obsids:
            raise SimulationError(f"fault {fault.kind}: obsid {fault.obsid} is not among {obsids[0]} to {obsids[-1]}")
        checked.append(fault)
    return tuple(checked)


def damage_file(path: Path, kind: Kind) -> None:
    """Apply a fault to a file that has been written."""
    if kind in {"missing", "missing_hk"}:
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind in {"truncate", "cut_hk"}:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "garbage":
        path.write_bytes(np.random.Generator(np.random.PCG64(0)).bytes(path.stat().st_size))


def damage_exposure_files(folder: Path, exposure: Exposure, faults: Sequence[Fault]) -> None:
    """Apply the faults of an exposure's files, frames and housekeeping."""
    for fault in faults:
        if fault.kind in _OF_EXPOSURE:
            damage_file(folder / exposure.hk_name, fault.kind)
            continue
        for ccd in CCDS:
            if fault.hits(exposure.obsid, ccd):
                damage_file(folder / f"{exposure.file_name(ccd)}.fits", fault.kind)


def damage_row(row: dict[str, LogValue], faults: Sequence[Fault]) -> dict[str, LogValue]:
    """Return a log row with what its faults make of its values."""
    kinds = {fault.kind for fault in faults}
    changed = dict(row)
    if "wrong_exptime" in kinds:
        exptime_s = row["exptime_s"]
        changed["exptime_s"] = 1.5 * exptime_s if isinstance(exptime_s, int | float) and exptime_s > 0 else 1.0
    if "wrong_test" in kinds:
        changed["test_in_log"] = "NOTATEST"
    if "wrong_roe" in kinds:
        changed["rdmode"] = "fwd_e2v" if row["rdmode"] != "fwd_e2v" else "fwd_bas"
    if "wrong_serials" in kinds:
        changed |= dict.fromkeys(("sn_ccd1", "sn_ccd2", "sn_ccd3"), "00000-00-00")
    return changed


def damage_log(path: Path, damaged: Mapping[int, Sequence[Fault]]) -> None:
    """Apply to a written log the faults of its lines; ``damaged`` maps the index of a row, from 0, to its faults."""
    lines = path.read_bytes().split(b"\r\n")
    kept = lines[:1]
    for index, line in enumerate(lines[1:]):
        kinds = {fault.kind for fault in damaged.get(index, ())}
        if "missing_row" in kinds:
            continue
        broken = line
        if "short_row" in kinds:
            broken = b"\t".join(broken.split(b"\t")[:5])
        if "binary_row" in kinds:
            broken = broken[:10] + b"\x00\x01\x02\x03" + broken[10:]
        kept.append(broken)
    path.write_bytes(b"\r\n".join(kept))
