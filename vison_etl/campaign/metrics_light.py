"""Values of lit and dark exposures: fluence of flats, what is seen without light, whether the right source shone."""

from __future__ import annotations

import polars as pl

from vison_etl.campaign.metrics_constants import constants
from vison_etl.campaign.metrics_input import (
    STATE,
    CheckInput,
    as_values,
    no_values,
    of_image,
    peak_adu,
    signal_adu,
)
from vison_etl.instrument.chambers import chamber, chambers, commanded_exptime_s


def _signals(data: CheckInput) -> pl.DataFrame:
    error = (pl.col("mean_adu_err").fill_null(0.0) ** 2 + pl.col("ove_err") ** 2).sqrt()
    return of_image(data).with_columns(value=signal_adu(), value_err=error)


def fluences(data: CheckInput) -> pl.DataFrame:
    """Mean of the image above the serial overscan, saturated pixels counted with their code.

    Without a chamber the time that the shutter was open is not known, which matters in short exposures: no values.
    """
    known = data.exposures.filter(pl.col("chamber").is_not_null()).select("obsid", "ccd")
    return as_values(_signals(data).join(known, on=["obsid", "ccd"], how="semi", maintain_order="left"), "fluence_adu")


def dark_signals(data: CheckInput) -> pl.DataFrame:
    """Clipped mean of the image above the serial overscan of exposures that were to be dark, without injected charge.

    The mean of all pixels where most are saturated. Quadrants without an image or overscan tell nothing.
    """
    is_empty = ~pl.col("injected").fill_null(value=False)
    clipped = pl.col("mean_adu") - pl.col("ove_adu")
    value = pl.when(pl.col("n_saturated") > pl.col("n")).then("value").otherwise(clipped)
    dark = _signals(data).filter(pl.col("light") == "none", is_empty).with_columns(value=value)
    return as_values(dark.drop_nulls("value"), "dark_signal_adu")


def backgrounds(data: CheckInput) -> pl.DataFrame:
    """Clipped mean of the image between the spots above the serial overscan."""
    error = (pl.col("mean_adu_err") ** 2 + pl.col("ove_err") ** 2).sqrt()
    spots = of_image(data).filter(pl.col("light") == "point")
    return as_values(
        spots.with_columns(value=pl.col("mean_adu") - pl.col("ove_adu"), value_err=error), "background_adu"
    )


def _seen(data: CheckInput) -> pl.DataFrame:
    """Return, per lit exposure, what the middle one of its channels shows, and what is expected.

    ``mean``: of the image of flats, clipped of the background of spots; ``peak``: the brightest pixel.
    """
    keys = ["obsid", *STATE, "expected_fluence_adu", "expected_peak_adu"]
    lit = of_image(data).filter(pl.col("light").is_in(["flat", "point"]), pl.col("fluence").is_not_null())
    level = pl.when(light="flat").then(signal_adu()).otherwise(pl.col("mean_adu") - pl.col("ove_adu"))
    middle = (level.median().alias("mean"), peak_adu().median().alias("peak"))
    return lit.group_by(keys, maintain_order=True).agg(middle).drop_nulls(["mean", "peak"]).sort("obsid")


def _is_spotted() -> pl.Expr:
    """Tell whether a frame that was to be flat shows bright pixels on a dark background."""
    rules = constants()
    expected = pl.col("expected_fluence_adu")
    is_dark = (pl.col("mean") < rules.unlit_share * expected) & (pl.col("fluence") >= rules.spot_least_fluence)
    return (is_dark & (pl.col("peak") > rules.spotted_share * expected)).fill_null(value=False)


def _is_flooded() -> pl.Expr:
    """Tell whether a frame that was to show spots is bright everywhere."""
    return (pl.col("mean") > constants().flooded_share * pl.col("expected_peak_adu")).fill_null(value=False)


def wrong_sources(data: CheckInput) -> pl.DataFrame:
    """1 for an exposure that looks like one of the other source, else 0."""
    wrong = pl.when(light="flat").then(_is_spotted()).otherwise(_is_flooded())
    rows = _seen(data).with_columns(value=wrong.cast(pl.Float64))
    return as_values(rows, "looks_like_other_source")


def source_levels(data: CheckInput) -> pl.DataFrame:
    """Seen over expected signal of the middle channel: mean of flats, brightest pixel of spots; not where the other source shone."""
    flat = pl.when(light="flat").then(pl.col("mean") / pl.col("expected_fluence_adu"))
    level = flat.otherwise(pl.col("peak") / pl.col("expected_peak_adu"))
    is_other = pl.when(light="flat").then(_is_spotted()).otherwise(_is_flooded())
    return as_values(_seen(data).filter(~is_other).with_columns(value=level), "source_level")


def saturation_times(data: CheckInput) -> pl.DataFrame:
    """Commanded time to full well found by the effect, with the one for which the chamber's shutter is open so long as it takes."""
    fits = data.results.get("light_source")
    if fits is None:
        return no_values()
    name = data.acquisition["chamber"]
    full = chamber(name).flat_s if name in chambers() else {}
    times = [commanded_exptime_s(name, open_s) or open_s for open_s in full.values()]
    known = pl.DataFrame(
        {"wavelength_nm": [float(label) for label in full], "full_well_s": times},
        schema={"wavelength_nm": pl.Float64, "full_well_s": pl.Float64},
    )
    rows = fits.filter(pl.col("status") != "no_data").join(known, on="wavelength_nm", how="left", maintain_order="left")
    value, error = pl.col("saturation_s"), pl.col("saturation_s_err")
    return as_values(rows.with_columns(value=value, value_err=error), "saturation_s")
