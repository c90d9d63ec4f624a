"""Declaration of the effect: how charge moves the walls of pixels, and what that does to spots and flats."""

from __future__ import annotations

from vison_etl.effects.brighter_fatter import measure
from vison_etl.effects.covariance.kernel_file import KIND
from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement, Parameters
from vison_etl.effects.photon_transfer.effect import PARAMETERS as PHOTON_TRANSFER

PARAMETERS: Parameters = {
    **PHOTON_TRANSFER,
    "closure_model_error": 0.2,
    "width_at_adu": 32768.0,
    "residual_lags": 3,
    "spot_sigma_min_px": 0.7,
    "spot_sigma_max_px": 1.6,
    "spot_sigma_step_px": 0.1,
}
"""Parameters of the calibration: those of photon transfer, by which pairs are chosen and covariances fitted, and its own.

``closure_model_error``: fraction by which the smooth model of the boundary shifts may be wrong of each a_ij. ``width_at_adu``: signal of the
widths, half the range of the ADC. ``residual_lags``: largest lag of the residual covariances. ``spot_sigma_*``: Gaussian spots whose
growth is foretold.
"""


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.brighter_fatter.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="brighter_fatter",
    version=5,
    measurements=(
        Measurement(
            name="corrected_covariances",
            tables=("corrected_covariances",),
            unit="pair",
            version=2,
            parameters=measure.PARAMETERS,
            function=measure.corrected_covariances,
            wants=(KIND,),
            pairs_per_column="pairs_per_column",
        ),
    ),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=(
        "covariances",
        "bfe_coefficients",
        "bfe_summary",
        "bfe_kernel",
        "bfe_boundaries",
        "bfe_widths",
        "bfe_spot_growth",
        "bfe_residuals",
        "bfe_corrected_ptc",
    ),
    uses=("photon_transfer.tiles", "photon_transfer.covariances"),
)
