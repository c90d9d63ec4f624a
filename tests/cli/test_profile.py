"""A chamber profile proposed from what was measured."""

from __future__ import annotations

import tomllib

import pytest

from tests.end_to_end.campaign import take, work
from vison_etl.cli.errors import USAGE
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish
from vison_etl.simulate.day import simulate_day
from vison_etl.simulate.truth import read_truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_profile_is_proposed(cli, tmp_path):
    raw = tmp_path / "raw"
    day = simulate_day(raw, "BORN", ["FLATFLUX00_800", "FLAT_STB"], seed=3, jobs=2).folder
    place = Lake(tmp_path / "lake")
    assert take(place, day).exit_code == 0
    assert [outcome.action for outcome in work(place)] == ["stored", "stored"]
    publish(place)
    written = tmp_path / "profile.toml"
    done = cli("profile", "--block", "born", "--lake", place.root, "--out", written)
    assert (done.code, done.out) == (0, "")
    read = tomllib.loads(written.read_text())
    assert list(read) == ["B_BORN_BORN"]
    truth = read_truth(raw, "light_source").filter(test="FLATFLUX00_800")
    # the source of the simulation repeats to 0.3 %
    assert list(read["B_BORN_BORN"]["flat_s"]) == ["800"]
    assert read["B_BORN_BORN"]["flat_s"]["800"] == pytest.approx(truth["saturation_s"].mean(), rel=0.01)
    assert "FLATFLUX00_800, run " in written.read_text()
    stable = cli("sql", "select status, n_points from stability where test = 'FLAT_STB'", "--lake", place.root)
    assert stable.out.count("ok") == 3
    missing = cli("profile", "--block", "NOSTROMO", "--lake", place.root)
    assert missing.code == USAGE
    assert "measured: BORN" in missing.err
