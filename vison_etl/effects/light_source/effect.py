"""Declaration of the effect: rate, saturation time, shutter offset and stability of the flat-field source."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Parameters

PARAMETERS: Parameters = {
    "max_fluence_fraction": 0.85,
    "max_saturated_fraction": 0.001,
    "max_departure_fraction": 0.1,
    "zero_signal_err_adu": 3.0,
    "min_stability_frames": 3,
    "max_photon_pct": 0.5,
}


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.light_source.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="light_source",
    version=3,
    measurements=(),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=("light_source", "stability", "common_mode", "source_track", "allan_deviation"),
    needs=("gain",),
)
