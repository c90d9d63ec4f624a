"""Declaration of the effect: one gain from several tests of photon transfer."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Parameters
from vison_etl.effects.photon_transfer.effect import PARAMETERS as PHOTON_TRANSFER

PARAMETERS: Parameters = {**PHOTON_TRANSFER, "common_gain_p": 1e-4}
"""Parameters of the calibration: those of photon transfer, by which pairs are chosen and covariances fitted, and its own.

``common_gain_p``: probability of chi-square below which the gains of the tests are called different.
"""


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.joint_gain.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="joint_gain",
    version=3,
    measurements=(),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=("joint_gain", "joint_gain_tests"),
    uses=("photon_transfer.tiles", "photon_transfer.covariances"),
)
