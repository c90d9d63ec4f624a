"""Brighter-fatter through pixels and files: 24 channels of BF01 against the truth beside the day folder."""

import pytest

from tests.end_to_end.campaign import take, work
from tests.pulls import assert_pulls
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import connect
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.quadrant import Options

pytestmark = [pytest.mark.slow, pytest.mark.lengthy, pytest.mark.timeout(1500)]
BLOCKS = ("CURIE", "LORENTZ")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Return (lake, truth, outcomes of BF01 before and after there were kernels): PTC01 of two blocks.

    Charge is built up in at least 40 steps at full well.
    """
    out = tmp_path_factory.mktemp("raw")
    lake = Lake(tmp_path_factory.mktemp("lake"))
    options = Options(step_e=4000.0)
    days = [simulate_day(out / block, block, ["PTC01"], seed=12, jobs=2, options=options) for block in BLOCKS]
    take(lake, *(day.folder for day in days), jobs=2)
    without = work(lake, "BF01", jobs=2)
    work(lake, "PTC01", jobs=2)
    outcomes = [*without, *work(lake, "BF01", jobs=2)]
    publish(lake)
    return lake, [day.truth for day in days], outcomes


def found(campaign, table, on, columns, where="true", truth=None):
    lake, truths, _ = campaign
    files = ", ".join(f"'{folder / (truth or table)}.parquet'" for folder in truths)
    with connect(lake.root) as connection:
        return connection.sql(
            f"select {columns} from {table} r join read_parquet([{files}]) t using (block, {on}) "
            f"where r.test = 'BF01' and {where}"
        ).pl()


@pytest.mark.parametrize("lag", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2)])
def test_coefficients(campaign, lag):
    rows = found(
        campaign,
        "bfe_coefficients",
        "ccd, quadrant, lag_x, lag_y",
        "r.a_per_e as found, r.a_per_e_err as err, t.a_per_e as truth",
        f"r.status = 'ok' and lag_x = {lag[0]} and lag_y = {lag[1]}",
    )
    assert rows.height == 24
    assert_pulls(rows["found"], rows["err"], rows["truth"])


def test_tables_of_every_channel(campaign):
    with connect(campaign[0].root) as connection:
        summary = connection.sql("select * from bfe_summary").pl()
        residuals = connection.sql(
            "select * from bfe_residuals where method = 'inverse' and lag_x + lag_y > 0 and lag_x < 2 and lag_y < 2"
        ).pl()
    assert summary.height == 24
    assert summary["status"].to_list() == ["ok"] * 24
    assert_pulls(summary["sum_a_per_e"], summary["sum_a_per_e_err"], 0.0)
    assert summary["a10_per_e"].mean() < 0.7 * summary["a01_per_e"].mean()
    pulls = (residuals["covariance_after_adu2"] - residuals["expected_after_adu2"]) / residuals[
        "covariance_after_adu2_err"
    ]
    assert abs(pulls.mean()) < 0.3
    assert pulls.std() < 1.1


def test_pairs_corrected_as_pixels(campaign):
    """Residuals of frames that were corrected, against what the order of photons leaves; the kernels lie beside them as files."""
    with connect(campaign[0].root) as connection:
        rows = connection.sql("select * from bfe_residuals where method = 'pixels'").pl()
        products = connection.sql("select * from products where kind = 'bfe_kernel'").pl()
    assert products.height == 6
    for outcome in campaign[2][:2]:
        assert "NO_KERNEL" in outcome.flags
    for outcome in campaign[2][2:]:
        assert not {"NO_KERNEL", "NOT_CORRECTED"} & set(outcome.flags)
        assert "sources.bfe_kernel" in outcome.reasons[0]
    assert rows["covariance_after_adu2"].null_count() == 0
    assert rows.select("block", "ccd", "quadrant").unique().height == 24
    pulls = (rows["covariance_after_adu2"] - rows["expected_after_adu2"]) / rows["covariance_after_adu2_err"]
    assert abs(pulls.mean()) < 0.1
    assert 0.8 < pulls.std() < 1.15


def test_gain_of_corrected_pairs(campaign):
    rows = found(
        campaign,
        "bfe_corrected_ptc",
        "ccd, quadrant",
        "r.*, t.gain_e_per_adu as truth",
        "r.status = 'ok'",
        truth="gain",
    )
    assert rows.height == 24
    assert_pulls(rows["gain_e_per_adu"], rows["gain_e_per_adu_err"], rows["truth"])
    assert_pulls(rows["difference_e_per_adu"], rows["difference_e_per_adu_err"], 0.0)
    assert (rows["before_gain_e_per_adu"] / rows["truth"] - 1).mean() > 0.05
