"""A bench that does not keep: a source that drifts through the day, a shutter that is open longer than its table says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vison_etl.simulate.exposure import Exposure
from vison_etl.simulate.plan import DayPlan
from vison_etl.simulate.plan import exposures as steady_exposures
from vison_etl.simulate.quadrant import Options
from vison_etl.simulate.streams import Purpose, generator, stream


def planned_exposures(plan: DayPlan, options: Options | None) -> tuple[Exposure, ...]:
    """Return the exposures of a plan with the drift of the source and the error of the shutter that the options ask for.

    The source follows one slow wave and a ramp over all exposures, from 1 to 1 + ``source_wander``.
    """
    exposures = steady_exposures(plan)
    if options is None or (options.source_wander == 0.0 and options.shutter_error_s == 0.0):
        return exposures
    hours = np.array([exposure.shot.time_h for exposure in exposures])
    rng = generator(stream(plan.seed, plan.block, Purpose.SOURCE_WANDER))
    turns, phase, ramp = rng.uniform(0.3, 1.2), rng.uniform(0.0, 1.0), rng.uniform(-1.0, 1.0)
    tau = (hours - hours.min()) / max(float(np.ptp(hours)), 1e-9)
    wave = np.sin(2.0 * np.pi * (turns * tau + phase)) + ramp * tau
    levels = 1.0 + options.source_wander * (wave - wave.min()) / max(float(np.ptp(wave)), 1e-9)
    return tuple(_changed(exposure, float(level), options) for exposure, level in zip(exposures, levels, strict=True))


def _changed(exposure: Exposure, level: float, options: Options) -> Exposure:
    shot = exposure.shot
    open_s = shot.open_s + options.shutter_error_s if shot.open_s > 0.0 else 0.0
    return replace(exposure, shot=replace(shot, level=shot.level * level, open_s=open_s))
