"""Declaration of the effect: offsets, temporal noise and the master bias."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement
from vison_etl.effects.readout_noise import master, measure


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.readout_noise.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="readout_noise",
    version=1,
    measurements=(
        Measurement(
            name="noise",
            tables=("noise_pairs",),
            unit="group",
            version=1,
            parameters={},
            function=measure.noise,
        ),
        Measurement(
            name="master",
            tables=("profiles", "previews"),
            unit="group",
            version=1,
            parameters=master.PARAMETERS,
            function=master.master,
            products=(master.KIND,),
        ),
    ),
    parameters={},
    calibrate=_calibrate,
    tables=("offsets", "readout_noise"),
    needs=("gain",),
)
