"""Declaration of the effect: master flats and the non-uniformity of the pixels' response."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement
from vison_etl.effects.flat_field import measure
from vison_etl.effects.flat_field.ratio import REFERENCE
from vison_etl.effects.preparation import BIAS, MASK


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.flat_field.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="flat_field",
    version=2,
    measurements=(
        Measurement(
            name="master_flat",
            tables=("flat_response", "flat_scales", "previews"),
            unit="group",
            version=2,
            parameters=measure.PARAMETERS,
            function=measure.master,
            products=(measure.KIND, MASK),
            wants=(BIAS, MASK, REFERENCE),
        ),
    ),
    parameters={"reference_nm": 800.0},
    calibrate=_calibrate,
    tables=("prnu", "prnu_scales", "flat_ratio"),
    needs=("gain",),
)
