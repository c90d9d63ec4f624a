"""Declaration of the effect: gain, noise and turn-off from the photon-transfer curve."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement, Parameters
from vison_etl.effects.photon_transfer import measure, measure_covariances

PARAMETERS: Parameters = {
    "flux_mismatch_max": 0.1,
    "saturated_fraction_max": 1e-4,
    "min_pixel_fraction": 0.5,
    "min_tiles": 9,
    "outlier_sigma": 5.0,
    "noise_prior_fraction": 0.05,
    "quadratic_low_adu": 1e3,
    "quadratic_high_adu": 4e4,
    "turnoff_deficit": 0.02,
    "turnoff_kurtosis": 0.05,
    "turnoff_correlation": 0.01,
    "turnoff_sigma": 5.0,
    "pixel_spread_fraction": 0.01,
    "badfit_p": 1e-4,
    "covariance_lags": 9,
    "covariance_c_is_free": True,
}
"""Parameters of the calibration.

``flux_mismatch_max``: largest difference of the fluxes of a pair, as a fraction of their mean. ``saturated_fraction_max``: of the
pixels of a tile that is used, what is saturated without light not counted; a normal distribution cut there has lost 0.2 % of its
variance. ``min_pixel_fraction``: least fraction
of the pixels of a tile that must have been used. ``min_tiles``: least number of tiles of a pair. ``outlier_sigma``: limit for tiles
and pairs against their neighbours in signal. ``noise_prior_fraction``: by how much the variance of image pixels at zero signal may differ
from that of the prescan, which constrains it (dark current, clock-induced charge): 0 trusts the prescan fully, a negative value
leaves the intercept to the curve. ``quadratic_low_adu``, ``quadratic_high_adu``: range of the quadratic, that of the original.
``turnoff_*``: smallest deficit of the variance (fraction), departure of kurtosis and of parallel correlation that matter, and their
significance in sigma. ``pixel_spread_fraction``: allowance for the rms spread of response and full well over the pixels of a tile, and
over the tiles of a channel, by which the bracket of the turn-off is wide at least. ``badfit_p``: probability of chi-square below which a fit is called bad.
``covariance_lags``: lags 0 ... 8 of each axis enter the covariance fit. ``covariance_c_is_free``: fit the second-order
coefficients c_ij; holding them at zero makes the error of the gain a third smaller and biases it if they are not zero.
"""


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.photon_transfer.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="photon_transfer",
    version=8,
    measurements=(
        Measurement(
            name="tiles",
            tables=("pair_tiles",),
            unit="pair",
            version=3,
            parameters=measure.PARAMETERS,
            function=measure.tiles,
        ),
        Measurement(
            name="covariances",
            tables=("pair_covariances",),
            unit="pair",
            version=2,
            parameters=measure_covariances.PARAMETERS,
            function=measure_covariances.covariances,
        ),
    ),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=(
        "ptc_points",
        "gain",
        "covariances",
        "bfe_coefficients",
        "covariance_fits",
        "gain_vs_fluence",
        "turnoff_tiles",
    ),
)
