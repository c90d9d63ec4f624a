"""Declaration of the effect: defects of pixels and columns, and the mask of bad pixels."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement
from vison_etl.effects.defects import measure


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.defects.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="defects",
    version=1,
    measurements=(
        Measurement(
            name="defect_frames",
            tables=("defect_areas", "measured_defects", "previews"),
            unit="columns",
            version=1,
            parameters=measure.PARAMETERS,
            function=measure.defects,
            products=(measure.KIND,),
        ),
    ),
    parameters={},
    calibrate=_calibrate,
    tables=("defects", "defect_counts"),
)
