"""What is extracted from one flat: mean profiles over the edges of its quadrants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vison_etl.effects.columns import or_none, values_of
from vison_etl.effects.declare import Extracted, Parameters, RawFrame
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view

if TYPE_CHECKING:
    from vison_etl.pixels.edges import EdgeProfile

PARAMETERS: Parameters = {"edge_clip_sigma": 5.0}
"""``edge_clip_sigma``: clip of the pixels of a column (row) over the rows (columns), in standard deviations."""

_NAMES = (
    "obsid",
    "ccd",
    "quadrant",
    "direction",
    "edge",
    "pixel",
    "mean_adu",
    "mean_adu_err",
    "n",
    "base_adu",
    "base_adu_err",
    "n_lines_out",
)


def edges(frame: RawFrame, parameters: Parameters) -> Extracted:
    """Measure the profiles over the edges of every quadrant, see :func:`vison_etl.pixels.edges.edge_profiles`.

    Returns
    -------
    Extracted
        Rows of ``edge_profiles``; edges that were not read have none, pixels with too few values and edges that are saturated all along
        have NULL.
    """
    from vison_etl.pixels.edges import edge_profiles  # noqa: PLC0415 - calibrations need no kernels

    columns: dict[str, list[Any]] = {name: [] for name in _NAMES}
    for quadrant in QUADRANTS:
        view = quadrant_view(frame.image, frame.geometry, quadrant)
        clip = float(parameters["edge_clip_sigma"])
        for profile in edge_profiles(view, frame.geometry, frame.vstart, frame.vend, clip_sigma=clip):
            for key, value in _columns(frame, quadrant, profile).items():
                columns[key] += value
    return Extracted({"edge_profiles": columns})


def _columns(frame: RawFrame, quadrant: str, profile: EdgeProfile) -> dict[str, list[Any]]:
    n = profile.pixel.size
    return {
        "obsid": [frame.obsid] * n,
        "ccd": [frame.ccd] * n,
        "quadrant": [quadrant] * n,
        "direction": [profile.direction] * n,
        "edge": [profile.edge] * n,
        "pixel": profile.pixel.tolist(),
        "mean_adu": values_of(profile.mean),
        "mean_adu_err": values_of(profile.error),
        "n": profile.n.tolist(),
        "base_adu": [or_none(profile.base)] * n,
        "base_adu_err": [or_none(profile.base_error)] * n,
        "n_lines_out": [profile.n_lines_out] * n,
    }
