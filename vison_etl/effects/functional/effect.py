"""Declaration of the effect: functional check at room temperature, go or no-go."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement
from vison_etl.effects.functional import measure


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.functional.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="functional",
    version=2,
    measurements=(
        Measurement(
            name="functional_frame",
            tables=(
                *("functional_noise", "functional_rows", "functional_bits"),
                *("functional_sources", "functional_edges"),
            ),
            unit="frame",
            version=2,
            parameters=measure.PARAMETERS,
            function=measure.frame,
        ),
    ),
    parameters={
        "max_level_adu": 36000.0,
        "least_spot_adu": 2000.0,
        "least_spread": 1.5,
        "n_points": 60,
        "serial_row_s": 0.0304304,
    },
    calibrate=_calibrate,
    tables=("functional_checks", "mode_levels", "warm_ramp", "warm_ramp_curve", "bit_statistics"),
    needs=("gain",),
)
