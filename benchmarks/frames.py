"""Full-size day folders, made quickly: the physics of a plain flat, nothing a benchmark of reading needs more."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from vison_etl.campaign.commands import DEFAULT
from vison_etl.elvis.explog import write_log
from vison_etl.elvis.frames import cards_of, write_frame
from vison_etl.instrument.geometry import QUADRANTS, geometry_of, quadrant_view
from vison_etl.simulate.bench import Bench, write_housekeeping
from vison_etl.simulate.exposure import CCDS
from vison_etl.simulate.housekeeping import version
from vison_etl.simulate.plan import exposures, plan_day
from vison_etl.simulate.quadrant import Options

GEOMETRY = geometry_of(4238, 4172)
START = datetime(2019, 3, 12, 8)  # noqa: DTZ001 - bench times carry no zone
TIME_TO_FULL_WELL_S = 3.6
OFFSET_ADU, RON_ADU, GAIN_E_PER_ADU = 2600.0, 1.2, 3.4


def flat(level_adu: float, rng: np.random.Generator) -> np.ndarray:
    """Return a full-size frame of Gaussian noise about an even level, uint16."""
    image = rng.standard_normal((GEOMETRY.naxis2, GEOMETRY.naxis1), dtype=np.float32)
    image *= RON_ADU
    for quadrant in QUADRANTS:
        view = quadrant_view(image, GEOMETRY, quadrant)
        lit = view[: GEOMETRY.image_rows, 51 : 51 + GEOMETRY.image_columns]
        lit *= np.sqrt(1.0 + level_adu / GAIN_E_PER_ADU / RON_ADU**2)
        lit += level_adu
    image += OFFSET_ADU
    return np.rint(image, out=image).clip(0, 65535).astype(np.uint16)


def write_day(out: Path, block: str, tests: list[str], n_exposures: int | None = None) -> Path:
    """Write a day folder of full-size frames, the three CCDs of an exposure alike; return the folder."""
    plan = plan_day(block, tests, START, 17001, campaign="Full", variant=DEFAULT, chamber=None, seed=1)
    planned = exposures(plan)[:n_exposures]
    out.mkdir(parents=True)
    bench = Bench(out, block, plan.seed, GEOMETRY, Options(), ())
    rng = np.random.default_rng(7)
    rows = []
    for exposure in planned:
        exptime_s = float(str(exposure.logged["exptime_s"]))
        image = flat(min(60000.0, 62000.0 * exptime_s / TIME_TO_FULL_WELL_S), rng)
        for ccd in CCDS:
            row = exposure.log_row(ccd)
            rows.append(row)
            write_frame(out / f"{exposure.file_name(ccd)}.fits", image, cards_of(row, ccd))
        write_housekeeping(bench, exposure)
    write_log(out / f"EXP_LOG_{START:%d%m%y}.txt", version(), rows)
    return out
