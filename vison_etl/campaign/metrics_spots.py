"""Values of point-source frames that follow from the statistics of whole quadrants.

They stand in for measurements of single spots, which need the pixels: the brightest pixel of a quadrant for the peak of its
brightest spot, the power of the image for the width of an average one. Cosmic rays and hot pixels are in both, so limits are
for exposures well above them.
"""

from __future__ import annotations

import math

import polars as pl

from vison_etl.campaign.metrics_constants import constants
from vison_etl.campaign.metrics_input import CheckInput, as_values, of_image, peak_adu

_FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))


def _spots(data: CheckInput) -> pl.DataFrame:
    return of_image(data).filter(pl.col("light") == "point").with_columns(peak=peak_adu())


def peaks(data: CheckInput) -> pl.DataFrame:
    """Brightest pixel of a quadrant above its overscan."""
    return as_values(_spots(data).with_columns(value=pl.col("peak")), "spot_peak_adu")


def best_peaks(data: CheckInput) -> pl.DataFrame:
    """Largest ratio of brightest and expected pixel over the exposures of a channel: that of the sharpest one of a scan."""
    ratio = (pl.col("peak") / pl.col("expected_peak_adu")).max().alias("value")
    return as_values(_spots(data).group_by("ccd", "quadrant", maintain_order=True).agg(ratio), "best_spot_peak")


def flux_ratios(data: CheckInput) -> pl.DataFrame:
    """Median over the exposures of a channel of brightest and expected pixel, where cosmic rays and full well tell least."""
    rules = constants()
    fair = pl.col("fluence").is_between(rules.spot_least_fluence, rules.spot_largest_fluence)
    ratio = (pl.col("peak") / pl.col("expected_peak_adu")).median().alias("value")
    spots = _spots(data).filter(fair)
    return as_values(spots.group_by("ccd", "quadrant", maintain_order=True).agg(ratio), "spot_flux_ratio")


def widths(data: CheckInput) -> pl.DataFrame:
    """FWHM, px, of equal round Gaussian spots with the power and the brightest pixel of the image.

    n (s^2 - c^2) = N pi sigma^2 p^2 with the scatter of all pixels s and of the background c, the brightest pixel p, N spots.
    NULL where pixels are saturated.
    """
    power = pl.col("n") * (pl.col("std_adu") ** 2 - pl.col("clipped_std_adu") ** 2)
    per_spot = power / (constants().spots_per_quadrant * math.pi)
    sigma = pl.when((per_spot > 0) & (pl.col("peak") > 0)).then(per_spot.sqrt() / pl.col("peak"))
    sharp = _spots(data).filter(pl.col("n_saturated") == 0)
    return as_values(sharp.with_columns(value=_FWHM_PER_SIGMA * sigma), "spot_fwhm_px")
