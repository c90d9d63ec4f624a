"""What is extracted from a pair of flats once both frames are corrected as pixels: covariances and variance against mean."""

from __future__ import annotations

from typing import Any

from vison_etl.effects.columns import or_none, values_of
from vison_etl.effects.declare import Extracted, Given, Parameters, RawFrame
from vison_etl.instrument.geometry import QUADRANTS

PARAMETERS: Parameters = {
    "pairs_per_column": 1,
    "covariance_clip_sigma": 5.5,
    "cell_departure": 0.02,
    "saturated_fraction_max": 1e-4,
    "beyond_kernel_max": 0.05,
    "tolerance_e": 0.5,
}
"""``pairs_per_column``: pairs of each script column that are corrected, from the first on. ``covariance_clip_sigma``: clip of the
pixels of a difference, in standard deviations. ``cell_departure``: least departure of the variance of a cell, as a fraction, for
which it is left out. ``saturated_fraction_max``: of the pixels of a pair that is corrected.
``beyond_kernel_max``: by which fraction a mean may exceed the highest signal that the kernel was measured at. ``tolerance_e``: largest change of
a pixel in the last round of the correction; what is left is less than a hundredth of it.
"""

_NAMES = ("mean_1_adu", "mean_2_adu", "mean_adu", "mean_adu_err", "n_clipped", "n_unknown")


def corrected_covariances(first: RawFrame, second: RawFrame, parameters: Parameters, given: Given) -> Extracted:
    """Correct both frames of a pair with the kernel of their CCD, and measure their covariances at all lags up to 8 px.

    The offset of a frame is the level of its prescan, as for `photon_transfer.covariances`; the gain is that of the kernel. Pixels within
    the reach of a saturated or lost one are left out, see `pixels.corrected_covariances.correct_frame`.

    Returns
    -------
    Extracted
        145 rows of ``corrected_covariances`` per quadrant. ``state``: ``corrected``; ``no_kernel``: there is no product;
        ``no_fit``: it has no kernel for this quadrant; ``no_data``: no offset, or too few pixels; ``saturated``; ``beyond_kernel``; ``not_converged``.
        All but the first have counts and NULL else.

    Raises
    ------
    ValueError
        If the frames are of different CCDs or sizes.
    """
    from vison_etl.effects.brighter_fatter.corrected_pairs import (  # noqa: PLC0415 - calibrations need no kernels
        corrected_quadrant,
    )
    from vison_etl.pixels.lag_covariances import LAGS  # noqa: PLC0415

    if first.ccd != second.ccd or first.geometry != second.geometry:
        raise ValueError(f"exposures {first.obsid} and {second.obsid} make no pair: CCD or frame size differ")
    measured = [corrected_quadrant(first, second, quadrant, parameters, given) for quadrant in QUADRANTS]
    n = len(LAGS)
    columns: dict[str, list[Any]] = {
        "obsid_1": [first.obsid] * n * len(measured),
        "obsid_2": [second.obsid] * n * len(measured),
        "ccd": [first.ccd] * n * len(measured),
        "quadrant": [quadrant for quadrant in QUADRANTS for _ in LAGS],
        "lag_x": [x for _ in measured for x, _ in LAGS],
        "lag_y": [y for _ in measured for _, y in LAGS],
    }
    for name in ("state", "n_saturated", "gain_e_per_adu", "n_rounds", "max_change_e"):
        columns[name] = [getattr(one, name) for one in measured for _ in LAGS]
    for name in _NAMES:
        columns[name] = [
            None if one.found is None else or_none(getattr(one.found, name)) for one in measured for _ in LAGS
        ]
    for name in ("covariance_adu2", "covariance_adu2_err", "n"):
        columns[name] = [
            value
            for one in measured
            for value in ([None] * n if one.found is None else values_of(getattr(one.found, name)))
        ]
    return Extracted({"corrected_covariances": columns})
