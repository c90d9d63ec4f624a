"""Declaration of the effect: response of the pixels after an edge, charge-transfer inefficiency, full well from the overscan."""

from __future__ import annotations

from vison_etl.effects.declare import Calibrated, CalibrationInput, Effect, Measurement, Parameters
from vison_etl.effects.edge_response import measure

PARAMETERS: Parameters = {
    "max_fluence_adu": 40_000.0,
    "min_line_fraction": 0.5,
    "release_min_px": 1.0,
    "release_min_parallel_px": 0.2,
    "release_max_px": 10.0,
    "blooming_adu": 36_000.0,
}
"""Parameters of the calibration.

``max_fluence_adu``: level up to which frames are in the fit; full well found lower comes before. ``min_line_fraction``: least fraction of
the rows (columns) of an edge that must not be saturated. ``release_min_px``, ``release_max_px``: what is released over less than the
former counts as bounce, over more than the latter as a shift of the line; along columns, where there is no bounce,
``release_min_parallel_px`` is the shortest that is tried. ``blooming_adu``: level from which on blooming is looked for.
"""


def _calibrate(inputs: CalibrationInput) -> Calibrated:
    from vison_etl.effects.edge_response.calibrate import calibrate  # noqa: PLC0415 - workers that measure need no polars

    return calibrate(inputs)


EFFECT = Effect(
    name="edge_response",
    version=7,
    measurements=(
        Measurement(
            name="edges",
            tables=("edge_profiles",),
            unit="frame",
            version=3,
            parameters=measure.PARAMETERS,
            function=measure.edges,
        ),
    ),
    parameters=PARAMETERS,
    calibrate=_calibrate,
    tables=("edge_response", "edge_response_points", "cti", "edge_separation", "full_well"),
    needs=("gain",),
)
