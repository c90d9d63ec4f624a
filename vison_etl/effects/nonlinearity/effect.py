"""Declaration of the effect: response of the chain, latency of the shutter, drift of the source."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement, Parameters
from vison_etl.effects.nonlinearity import measure

PARAMETERS: Parameters = {
    "saturated_fraction_max": 1e-4,
    "min_pixel_fraction": 0.5,
    "variance_fall": 0.05,
    "min_levels": 6,
    "shutter_prior_s": 0.05,
    "shutter_table_prior_s": 0.02,
    "shutter_own_prior_s": 0.005,
    "max_from_fraction": 0.01,
    "curve_points": 96,
    "product_points": 193,
    "badfit_p": 1e-6,
    "min_line_fraction": 0.5,
    "blooming_adu": 36_000.0,
    "flux_mismatch_max": 0.1,
    "ptc_lags": 9,
    "ptc_p": 1e-4,
}
"""Parameters of the calibration.

``saturated_fraction_max``, ``min_pixel_fraction``: of the pixels of a tile that counts. ``variance_fall``: levels from the first one on
whose pixel variance is lower by this fraction than that of a fainter level are left out: charge spills there. ``min_levels``: least
number of different (filter, time) of a channel. ``shutter_prior_s``: one sigma of the latency about the commanded time,
``shutter_table_prior_s`` about the chamber's table, ``shutter_own_prior_s`` of what each filter has of its own. ``max_from_fraction``:
the largest deviation is looked for from this fraction of full scale on. ``curve_points``: of the curve, ``product_points`` of the tables of the product. ``badfit_p``: probability of
chi-square below which a fit is called bad. ``min_line_fraction``, ``blooming_adu``: of the full well, as for the response after an edge.
``flux_mismatch_max``: largest difference of the fluxes of a pair, as a fraction of their mean. ``ptc_lags``: lags 0 ... 8 of each axis are
added. ``ptc_p``: probability of chi-square below which the photon noise of a channel is called contradictory, and not used.
"""


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.nonlinearity.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="nonlinearity",
    version=5,
    measurements=(
        Measurement(
            name="levels",
            tables=("tile_levels",),
            unit="frame",
            version=1,
            parameters=measure.PARAMETERS,
            function=measure.levels,
        ),
    ),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=("nonlinearity", "nonlinearity_curve", "nonlinearity_residuals", "shutter_latency", "nonlinearity_light"),
    needs=("gain",),
    uses=("edge_response.edges", "photon_transfer.covariances"),
)
