"""What went in, summed up per channel or CCD: numbers of defects and traps, steadiness of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import numpy as np

from vison_etl.simulate.bench import Bench
from vison_etl.simulate.defects import defects
from vison_etl.simulate.exposure import CCDS
from vison_etl.simulate.pumping import polarity, traps
from vison_etl.simulate.truth_rows import Acquired, Row, channels, flats, is_lit, keys

_LEAST_FLATS = 10


def count_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the number of defects of each kind per channel, for acquisitions with both dark and lit frames."""
    if not bench.options.has_defects or len({is_lit(exposure) for exposure in acquired}) == 1:
        return
    area = bench.geometry.image_columns * bench.geometry.image_rows
    for channel in channels(bench):
        found = sorted(defects(channel, bench.geometry), key=lambda defect: defect.kind)
        for kind, group in groupby(found, key=lambda defect: defect.kind):
            members = list(group)
            pixels = sum(defect.height_px for defect in members)
            yield keys(bench, acquired, channel) | {
                "kind": kind,
                "n_pixels": pixels,
                "n_columns": len({d.x for d in members}) if kind.endswith("column") else 0,
                "lost_pct": 100.0 * pixels / area,
            }


def density_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the traps that each pumping sequence sees, all of them, per channel: pixels are those of the image, or of its register."""
    modes = sorted({(p.direction, p.mode) for e in acquired for p in e.shot.setup.pumping})
    halves = {e.shot.setup.injection.half for e in acquired if e.shot.setup.injection is not None}
    letters = {letter for half in halves if half is not None for letter in half.value}
    for channel in channels(bench):
        for direction, mode in modes if channel.quadrant in letters else ():
            tau = [trap.tau_us for trap in traps(channel, bench.geometry, direction) if polarity(trap, mode)]
            rows = bench.geometry.image_rows if direction == "parallel" else 1
            yield keys(bench, acquired, channel) | {
                "direction": direction,
                "mode": mode,
                "n_detected": len(tau),
                "completeness": 1.0,
                "density_per_px": len(tau) / (rows * bench.geometry.image_columns),
                "tau_median_us": float(np.median(tau)) if tau else None,
            }


def _steadiness(bench: Bench, acquired: Acquired) -> Row | None:
    """Return scatter about a straight line and slope of the source over the flats of acquisitions that only repeat one; else None."""
    lit = flats(acquired)
    if len(lit) < _LEAST_FLATS or len({exposure.script_column for exposure in acquired}) > 1:
        return None
    level = np.array([exposure.shot.level for exposure in lit])
    time_h = np.array([exposure.shot.time_h for exposure in lit])
    line = np.polyfit(time_h - time_h.mean(), level / level.mean(), 1)
    residual = level / level.mean() - np.polyval(line, time_h - time_h.mean())
    of_channel = keys(bench, acquired, next(channels(bench)))
    common = {name: value for name, value in of_channel.items() if name not in {"ccd", "quadrant"}}
    scatter = float(np.sqrt(np.sum(residual**2) / (len(lit) - 2)))
    return common | {"rms_pct": 100.0 * scatter, "drift_pct_per_h": 100.0 * float(line[0])}


def stability_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield how steady the source was, the same for all CCDs."""
    common = _steadiness(bench, acquired)
    yield from ({**common, "ccd": ccd} for ccd in CCDS if common is not None)


def common_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield how steady the source was; the CCDs see nothing that others do not."""
    common = _steadiness(bench, acquired)
    if common is not None:
        yield {**common, "wavelength_nm": float(flats(acquired)[0].shot.label)}


TABLES: Mapping[str, Callable[[Bench, Acquired], Iterator[Row]]] = {
    "defect_counts": count_rows,
    "trap_density": density_rows,
    "stability": stability_rows,
    "common_mode": common_rows,
}
