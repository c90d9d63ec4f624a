"""Exposures to look at: one shot on small frames, offset and fixed structure taken off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vison_etl.instrument.geometry import geometry_of
from vison_etl.simulate.detector import channel
from vison_etl.simulate.electronics import column_structure, frame_offset_adu, row_structure
from vison_etl.simulate.quadrant import Options, Shot, expose
from vison_etl.simulate.setup import Setup

SMALL = geometry_of(654, 552)
PLAIN = Options(cosmics_per_quadrant=0.0, has_defects=False, nonlinearity=0.0)
BLOCK, CHAMBER = "BORN", "B_BORN"


def truth_of(ccd="CCD1", quadrant="E", seed=11):
    return channel(seed, BLOCK, ccd, quadrant)


def shot(obsid=17001, exptime_s=0.0, *, label="800", is_open=True, vend=2086, level=1.0, **setup):
    open_s = exptime_s if is_open else 0.0
    return Shot(obsid, CHAMBER, label, level, exptime_s, open_s, 12.0, 0, vend, Setup(**setup))


def signal_adu(truth, taken, options=PLAIN, geometry=SMALL):
    """Return the codes of a quadrant less its true offset, ADU; rows that were not read are NaN."""
    codes = expose(truth, geometry, taken, options).astype(float)
    codes[taken.vend :] = np.nan
    level = frame_offset_adu(truth, taken.obsid, taken.time_h)
    return codes - level - column_structure(truth, geometry)[None, :] - row_structure(truth, geometry)[:, None]


def image_of(signal):
    return signal[:256, 51:307]


__all__ = ["BLOCK", "CHAMBER", "PLAIN", "SMALL", "image_of", "replace", "shot", "signal_adu", "truth_of"]
