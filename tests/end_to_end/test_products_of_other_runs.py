"""A measurement that wants products of other runs gets them, says so, and is stale when they change."""

from dataclasses import replace

import polars as pl
import pytest

from tests.end_to_end.campaign import take, work
from vison_etl.campaign.definitions import definition
from vison_etl.lake.parts import read
from vison_etl.lake.paths import Lake
from vison_etl.lake.runs import read_run_table
from vison_etl.pipeline import job
from vison_etl.pipeline.inputs import InputError


@pytest.fixture
def as_darks(monkeypatch):
    """Let flats be treated as darks too: the way of the products is the same."""

    def changed(test):
        known = definition(test)
        return replace(known, effects=(("dark", {}), ("defects", {}))) if test == "PTC02_730" else known

    monkeypatch.setattr(job, "definition", changed)


def used(lake, run_id):
    rows = read_run_table(lake, run_id, "run_inputs").filter(pl.col("kind").is_in(["mask", "master_bias"]))
    return {(row["kind"], row["name"][:4], row["source_run_id"]) for row in rows.iter_rows(named=True)}


@pytest.mark.usefixtures("as_darks")
def test_products_are_chosen_recorded_and_followed(day, tmp_path):
    lake = Lake(tmp_path / "lake")
    take(lake, day.folder)
    (bare,) = work(lake, "PTC02_730")
    assert bare.action == "stored"
    assert {"NO_BIAS", "NO_MASK"} <= set(bare.flags)
    assert used(lake, bare.run_id) == {("mask", "none", None), ("master_bias", "none", None)}
    assert read_run_table(lake, bare.run_id, "dark_signal")["dark_adu"].null_count() == 12

    (bias,) = work(lake, "BIAS01")
    (found,) = work(lake, "PTC02_730")
    assert found.action == "stored"
    assert "sources.master_bias" in " ".join(found.reasons)
    assert "NO_BIAS" not in found.flags
    assert {("master_bias", ccd, bias.run_id) for ccd in ("CCD1", "CCD2", "CCD3")} <= used(lake, found.run_id)
    assert read_run_table(lake, found.run_id, "dark_signal")["dark_adu"].null_count() == 0
    cells = read(lake, "dark_cells")
    assert cells["bias_subtracted"].all()
    # the units of the dark are measured again, those of the defects, which want nothing, are kept
    assert found.n_measured == 18
    assert found.n_kept == 3
    assert work(lake, "PTC02_730")[0].action == "up_to_date"

    masks = read_run_table(lake, found.run_id, "products").filter(kind="mask").sort("ccd")
    path = str(lake.root / masks["path"][0])
    with pytest.raises(InputError, match="neither a run"):
        work(lake, "PTC02_730", settings=("mask=nowhere_CCD1.fits",))
    (trial,) = work(lake, "PTC02_730", settings=(f"mask={path}",))
    assert trial.action == "stored"
    assert ("mask", "CCD1", None) in used(lake, trial.run_id)
    assert work(lake, "PTC02_730")[0].action == "up_to_date"
