"""Tables of a non-linearity test made from tile means of known truth."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from tests.closure.covariance_fit_truth import Truth
from tests.closure.nl_pairs import pair_covariances
from tests.closure.nl_truth import Bench, Frames, expose
from vison_etl.effects.declare import CalibrationInput
from vison_etl.effects.nonlinearity.effect import EFFECT
from vison_etl.tables import CCDS, QUADRANTS

CHANNELS = tuple((ccd, quadrant) for ccd in CCDS for quadrant in QUADRANTS)
START = datetime(2019, 3, 12, 20)  # noqa: DTZ001 - the bench writes no zone
FIRST = 700


def tile_levels(frames: Frames, ccd: str, quadrant: str) -> pl.DataFrame:
    """Return ``tile_levels`` of one channel; saturated tiles have no pixels left."""
    bench = frames.bench
    n_frames, size = frames.signal.shape
    saturated = np.isnan(frames.signal)
    noise = bench.ron_adu**2 + 1.0 / 12.0
    values = {
        "obsid": np.repeat(FIRST + np.arange(n_frames), size),
        "tile": np.tile(np.arange(size), n_frames),
        "x": np.tile(51 + 300 * (frames.x + 2.5), n_frames).astype(int),
        "y": np.tile(300 * (frames.y + 2.5), n_frames).astype(int),
        "n": np.where(saturated, 0, bench.n_px).ravel(),
        "mean_adu": frames.signal.ravel(),
        "variance_adu2": (np.maximum(frames.signal, 0.0) / bench.gain + noise).ravel(),
        "n_saturated": np.where(saturated, bench.n_px, 0).ravel(),
    }
    frame = pl.DataFrame(values).with_columns(
        ccd=pl.lit(ccd),
        quadrant=pl.lit(quadrant),
        width_px=pl.lit(300),
        height_px=pl.lit(300),
        offset_adu_err=pl.lit(0.0),
        n_clipped=pl.lit(0),
    )
    return frame.with_columns(pl.col("mean_adu", "variance_adu2").fill_nan(None))


def exposures(frames: Frames, chamber: str | None = "B_CBE_MAR19") -> pl.DataFrame:
    """Return the exposures of all three CCDs."""
    rows = [
        {
            "obsid": FIRST + k,
            "ccd": ccd,
            "exptime_s": float(frames.time_s[k]),
            "filter": str(frames.label[k]),
            "wave": 6 if frames.label[k] == "0" else 5,
            "chamber": chamber,
            "started_at": START + timedelta(hours=float(frames.hours[k])),
            "script_column": frames.column[k],
        }
        for k in range(frames.time_s.size)
        for ccd in CCDS
    ]
    return pl.DataFrame(rows, schema_overrides={"chamber": pl.String})


def inputs(
    bench: Bench,
    seed: int = 1,
    *,
    channels=CHANNELS,
    chamber: str | None = "B_CBE_MAR19",
    change=None,
    charge: Truth | None = None,
    **spoilt,
):
    """Return what a calibration is given; ``change(frames)`` may spoil the list of frames of the channels.

    With ``charge``, the covariances of charge, there are covariances of the pairs too; ``spoilt`` as of `nl_pairs.sample`.
    """
    every = expose(np.random.default_rng(seed), bench, len(channels))
    if change is not None:
        change(every)
    levels = pl.concat([tile_levels(frames, *key) for frames, key in zip(every, channels, strict=True)])
    statistics = levels.select("obsid", "ccd", "quadrant").unique()
    measured = {"tile_levels": levels}
    if charge is not None:
        streams = np.random.default_rng([77, *np.atleast_1d(seed)]).spawn(len(channels))
        measured["pair_covariances"] = pl.concat(
            pair_covariances(rng, frames, key, FIRST, charge, **spoilt)
            for rng, frames, key in zip(streams, every, channels, strict=True)
        )
    return CalibrationInput(
        bench.test, None, EFFECT.parameters, exposures(every[0], chamber), statistics, measured, None
    )
