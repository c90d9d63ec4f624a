"""What else is extracted from a pair of equal flats: covariances between the pixels of each quadrant."""

from __future__ import annotations

from typing import Any

from vison_etl.effects.columns import or_none, values_of
from vison_etl.effects.declare import Extracted, Parameters, RawFrame
from vison_etl.effects.photon_transfer.measure import require_pair

PARAMETERS: Parameters = {"covariance_clip_sigma": 5.5, "cell_departure": 0.02}
"""``covariance_clip_sigma``: clip of the pixels of a difference, in standard deviations. ``cell_departure``: least departure of the
variance of a cell from that of the others, as a fraction, for which it is left out."""

_OF_QUADRANT = (
    "mean_1_adu",
    "mean_2_adu",
    "mean_adu",
    "mean_adu_err",
    "spread_adu",
    "n_clipped",
    "n_saturated",
    "n_cells_out",
)


def covariances(first: RawFrame, second: RawFrame, parameters: Parameters) -> Extracted:
    """Measure the covariances between pixels at all lags up to 8 px in every quadrant of a pair.

    See :func:`vison_etl.pixels.covariances.measure_covariances` for what each is.

    Returns
    -------
    Extracted
        145 rows of ``pair_covariances`` per quadrant, one per lag. A quadrant with too few usable pixels has its counts and NULL else.

    Raises
    ------
    ValueError
        If the frames are of different CCDs or sizes.
    """
    from vison_etl.pixels.covariances import measure_covariances  # noqa: PLC0415 - calibrations need no kernels
    from vison_etl.pixels.lag_covariances import LAGS  # noqa: PLC0415

    require_pair(first, second)
    found = measure_covariances(
        first.image,
        second.image,
        first.geometry,
        vstart=max(first.vstart, second.vstart),
        vend=min(first.vend, second.vend),
        clip_sigma=float(parameters["covariance_clip_sigma"]),
        departure=float(parameters["cell_departure"]),
    )
    n = len(LAGS) * len(found)
    columns: dict[str, list[Any]] = {
        "obsid_1": [first.obsid] * n,
        "obsid_2": [second.obsid] * n,
        "ccd": [first.ccd] * n,
        "quadrant": [one.quadrant for one in found for _ in LAGS],
        "lag_x": [x for _ in found for x, _ in LAGS],
        "lag_y": [y for _ in found for _, y in LAGS],
    }
    for name in _OF_QUADRANT:
        columns[name] = [or_none(getattr(one, name)) for one in found for _ in LAGS]
    for name in ("covariance_adu2", "covariance_adu2_err"):
        columns[name] = [value for one in found for value in values_of(getattr(one, name))]
    columns["n"] = [value for one in found for value in one.n.tolist()]
    return Extracted({"pair_covariances": columns})
