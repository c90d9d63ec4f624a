"""Non-linearity through pixels and files: 24 channels of NL02 from simulated photons, against the truth beside the day folder.

The source drifts by 3 % beside its scatter of 0.3 % from exposure to exposure, the shutter is open 25 ms longer than its table says, and
the response bends ten times as much as usual.
"""

import numpy as np
import pytest

from tests.end_to_end.campaign import take, work
from vison_etl.lake.paths import Lake
from vison_etl.results.connect import connect
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.quadrant import Options

pytestmark = [pytest.mark.slow, pytest.mark.lengthy, pytest.mark.timeout(1800)]
BLOCKS = ("CURIE", "BORN")
OPTIONS = Options(nonlinearity=10.0, source_wander=0.03, shutter_error_s=0.025)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw")
    lake = Lake(tmp_path_factory.mktemp("lake"))
    days = [simulate_day(out / block, block, ["NL02"], seed=11, jobs=2, options=OPTIONS) for block in BLOCKS]
    take(lake, *(day.folder for day in days), jobs=2)
    work(lake, jobs=2)
    publish(lake)
    return lake, [day.truth for day in days]


def query(campaign, text):
    lake, truths = campaign
    files = ", ".join(f"'{truth / 'nonlinearity_curve'}.parquet'" for truth in truths)
    with connect(lake.root) as connection:
        return connection.sql(text.format(truth=f"read_parquet([{files}])")).pl()


def test_all_channels_are_fitted(campaign):
    found = query(campaign, "select * from nonlinearity")
    assert found["status"].to_list() == ["ok"] * 24
    # spilling begins at 44 000 to 50 000 ADU
    assert found["fit_max_adu"].is_between(35_000, 50_000).all()


def test_the_curves(campaign):
    """The truth is a smooth cubic, which a parabola through its points gives to 1e-5."""
    off, pulls = [], []
    for acquisition in query(campaign, "select distinct acquisition from nonlinearity_curve")["acquisition"]:
        curve = query(campaign, f"select * from nonlinearity_curve where acquisition = '{acquisition}'")
        truth = query(campaign, f"select * from {{truth}} where acquisition = '{acquisition}'")
        for key, mine in curve.group_by("ccd", "quadrant"):
            true = truth.filter(ccd=key[0], quadrant=key[1])
            square = np.polyfit(true["fluence_adu"].to_numpy() ** 2, true["nl_pct"].to_numpy(), 1)
            bright = mine.filter(mine["fluence_adu"] > 0.05 * 65536)
            missed = bright["nl_pct"] - np.polyval(square, bright["linear_adu"].to_numpy() ** 2)
            off.append(missed.abs().max())
            pulls.append((missed / bright["nl_pct_err"]).abs().max())
    assert len(off) == 24
    assert max(off) < 0.25
    assert max(pulls) < 3.3


def test_the_latency_beyond_the_table(campaign):
    found = query(campaign, "select * from shutter_latency")
    assert found.height == 4
    assert found["is_separable"].all()
    assert found["correction_s_err"].max() < 0.005
    pulls = (found["correction_s"] - 0.025) / found["correction_s_err"]
    assert pulls.abs().max() < 3.3
