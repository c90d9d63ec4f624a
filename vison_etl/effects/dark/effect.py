"""Declaration of the effect: dark current, hot pixels, cosmic rays and the master dark."""

from __future__ import annotations

from vison_etl.effects.dark import measure
from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement
from vison_etl.effects.preparation import BIAS, MASK


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.dark.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="dark",
    version=1,
    measurements=(
        Measurement(
            name="dark_frames",
            tables=("dark_counts", "dark_cells", "dark_histogram", "previews"),
            unit="group",
            version=1,
            parameters=measure.PARAMETERS,
            function=measure.dark,
            products=(measure.KIND,),
            wants=(BIAS, MASK),
        ),
    ),
    parameters={"glow_length": 0.1, "serial_row_s": 0.0304304},
    calibrate=_calibrate,
    tables=("dark_signal",),
    needs=("gain",),
)
