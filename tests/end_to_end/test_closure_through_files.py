"""Truth against results of a simulated day, through pixels and files: each a join by key."""

import numpy as np
import polars as pl

from vison_etl.results.connect import connect


def joined(lake, day, query):
    with connect(lake.root) as connection:
        return connection.sql(query.format(truth=day.truth)).pl()


def within(pull):
    """Return whether pulls have no bias and the width they claim: the house's rule."""
    from scipy.stats import chi2

    pull = np.asarray(pull)
    low, high = chi2.ppf([0.0005, 0.9995], pull.size)
    return abs(pull.mean()) < 3.3 / np.sqrt(pull.size) and low < (pull**2).sum() < high


def test_gain(analysed, day):
    rows = joined(
        analysed,
        day,
        """select (g.gain_e_per_adu - t.gain_e_per_adu) / g.gain_e_per_adu_err as pull from gain g
           join '{truth}/gain.parquet' t using (acquisition, ccd, quadrant) where g.is_adopted and g.status = 'ok'""",
    )
    assert rows.height == 12
    assert within(rows["pull"])


def test_noise_in_adu(analysed, day):
    rows = joined(
        analysed,
        day,
        """select (r.ron_adu - t.ron_adu) / r.ron_adu_err as pull, r.ron_adu / t.ron_adu - 1 as bias from readout_noise r
           join '{truth}/readout_noise.parquet' t using (acquisition, ccd, quadrant, region) where r.region = 'img'""",
    )
    assert rows.height == 12
    assert within(rows["pull"])
    assert abs(rows["bias"].mean()) < 0.005


def test_offsets(analysed, day):
    rows = joined(
        analysed,
        day,
        """select o.region, o.offset_adu - t.offset_adu as off_adu from offsets o
           join '{truth}/offsets.parquet' t using (acquisition, ccd, quadrant, region) where o.test = 'BIAS01'""",
    )
    assert rows.filter(pl.col("region") == "pre").height == 12
    assert rows["off_adu"].abs().max() < 0.1


def test_saturation_time(analysed, day):
    rows = joined(
        analysed,
        day,
        """select l.saturation_s / t.saturation_s - 1 as off from light_source l
           join '{truth}/light_source.parquet' t using (acquisition, ccd, quadrant) where l.test = 'FLATFLUX00_800'""",
    )
    assert rows.height == 12
    assert rows["off"].abs().max() < 0.01
