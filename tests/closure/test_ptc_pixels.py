"""Photon transfer and edges through pixels and files: 24 channels of PTC01 from simulated photons, against the truth beside the day folder."""

import pytest

from tests.end_to_end.campaign import take, work
from tests.pulls import assert_pulls
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import connect
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.quadrant import Options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BLOCKS = ("CURIE", "LORENTZ")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Return (lake, truth): BIAS01 and PTC01 of two blocks, brighter-fatter built up in at least 50 steps at full well."""
    out = tmp_path_factory.mktemp("raw")
    lake = Lake(tmp_path_factory.mktemp("lake"))
    days = [
        simulate_day(out / block, block, ["BIAS01", "PTC01"], seed=11, jobs=2, options=Options(step_e=2500.0))
        for block in BLOCKS
    ]
    take(lake, *(day.folder for day in days), jobs=2)
    work(lake, jobs=2)
    publish(lake)
    return lake, [day.truth for day in days]


def rows(campaign, table, on, where, columns):
    lake, truths = campaign
    files = ", ".join(f"'{truth / table}.parquet'" for truth in truths)
    with connect(lake.root) as connection:
        return connection.sql(
            f"select {columns} from {table} r join read_parquet([{files}]) t using (acquisition, {on}) where {where}"
        ).pl()


def test_gain_of_the_adopted_model(campaign):
    found = rows(
        campaign,
        "gain",
        "ccd, quadrant",
        "r.is_adopted and r.status = 'ok'",
        "r.gain_e_per_adu as found, r.gain_e_per_adu_err as err, t.gain_e_per_adu as truth, r.chi2 / r.dof as chi2",
    )
    assert found.height == 24
    assert_pulls(found["found"], found["err"], found["truth"])
    assert found["chi2"].is_between(0.8, 1.2).all()


def test_turn_off_is_bracketed(campaign):
    found = rows(
        campaign,
        "gain",
        "ccd, quadrant",
        "r.is_adopted",
        "r.turnoff_lower_adu as low, r.turnoff_upper_adu as high, t.turnoff_adu as truth",
    )
    assert found.height == 24
    assert found.null_count().sum_horizontal()[0] == 0
    inside = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    assert inside.all(), found.filter(~inside)


def test_noise_of_the_image_area(campaign):
    found = rows(
        campaign,
        "readout_noise",
        "ccd, quadrant, region",
        "r.region = 'img' and r.test = 'BIAS01'",
        "r.ron_adu as found, r.ron_adu_err as err, t.ron_adu as truth",
    )
    assert found.height == 24
    assert_pulls(found["found"], found["err"], found["truth"])
    assert abs((found["found"] / found["truth"]).mean() - 1) < 0.005


def test_noise_in_electrons(campaign):
    found = rows(
        campaign,
        "readout_noise",
        "ccd, quadrant, region",
        "r.region = 'img' and r.test = 'BIAS01'",
        "r.ron_e as found, r.ron_e_err as err, t.ron_e as truth",
    )
    assert_pulls(found["found"], found["err"], found["truth"])


def test_bounce_of_the_amplifier(campaign):
    found = rows(
        campaign,
        "edge_separation",
        "ccd, quadrant, direction",
        "r.direction = 'serial'",
        "r.bounce as found, r.bounce_err as err, t.bounce as truth",
    )
    assert found.height == 24
    assert_pulls(found["found"], found["err"], found["truth"])


@pytest.mark.parametrize("direction", ["serial", "parallel"])
def test_charge_transfer(campaign, direction):
    for column in ("col003", "col005"):
        found = rows(
            campaign,
            "cti",
            "ccd, quadrant, direction, script_column",
            f"r.direction = '{direction}' and script_column = '{column}'",
            "r.cti as found, r.cti_err as err, t.cti as truth",
        )
        assert found.height == 24
        assert_pulls(found["found"], found["err"], found["truth"])


@pytest.mark.parametrize("direction", ["serial", "parallel"])
def test_first_overscan_pixel(campaign, direction):
    found = rows(
        campaign,
        "edge_response",
        "ccd, quadrant, direction, pixel",
        f"r.direction = '{direction}' and pixel = 1",
        "r.response as found, r.response_err as err, t.response as truth",
    )
    assert found.height == 24
    assert_pulls(found["found"], found["err"], found["truth"])


def test_full_well_is_bracketed(campaign):
    found = rows(
        campaign,
        "full_well",
        "ccd, quadrant",
        "r.status = 'ok'",
        "r.full_well_lower_adu as low, r.full_well_upper_adu as high, t.full_well_adu as truth",
    )
    assert found.height == 24
    assert ((found["low"] <= found["truth"]) & (found["truth"] <= found["high"])).all()


def test_gain_of_the_covariance_fit(campaign):
    found = rows(
        campaign,
        "gain",
        "ccd, quadrant",
        "r.model = 'covariance'",
        "r.status as status, r.gain_e_per_adu as found, r.gain_e_per_adu_err as err, t.gain_e_per_adu as truth, "
        "r.a00_per_e as a00, r.a00_per_e_err as a00_err, t.a00_per_e as true_a00, r.is_adopted as is_adopted, "
        "r.level_chi2 as chi2, r.level_dof as dof",
    )
    assert found["status"].to_list() == ["ok"] * 24
    assert found["is_adopted"].all()
    assert_pulls(found["found"], found["err"], found["truth"])
    assert_pulls(found["a00"], found["a00_err"], found["true_a00"])
    total, dof = found["chi2"].sum(), found["dof"].sum()
    assert abs(total - dof) < 3.3 * (2 * dof) ** 0.5


def test_area_coefficients_of_all_lags_of_the_truth(campaign):
    found = rows(
        campaign,
        "bfe_coefficients",
        "ccd, quadrant, lag_x, lag_y",
        "r.status = 'ok' and r.test = 'PTC01'",
        "lag_x, lag_y, r.a_per_e as found, r.a_per_e_err as err, t.a_per_e as truth",
    )
    assert found.height == 24 * 9
    for _, lag in found.group_by("lag_x", "lag_y"):
        assert_pulls(lag["found"], lag["err"], lag["truth"])


def test_charge_is_conserved(campaign):
    lake, _ = campaign
    with connect(lake.root) as connection:
        found = connection.sql(
            "select a_total_per_e as total, a_total_per_e_err as err, symmetry_chi2, symmetry_dof from covariance_fits "
            "where status = 'ok' and variant = 'c_free'"
        ).pl()
    assert found.height == 24
    pulls = found["total"] / found["err"]
    assert (pulls.abs() < 3.5).all()
    total, dof = found["symmetry_chi2"].sum(), found["symmetry_dof"].sum()
    assert abs(total - dof) < 3.3 * (2 * dof) ** 0.5
