from __future__ import annotations

import pytest

from vison_etl.instrument.blocks import block, serials_of
from vison_etl.instrument.fpa import cell_of, fpa_map


@pytest.mark.parametrize("design", ["initial", "final"])
def test_every_place_holds_one_ccd_of_a_block(design):
    cells = fpa_map(design)
    assert len(cells) == 36
    assert {cell.ccdid for cell in cells} == {f"C_{row}{column}" for row in range(1, 7) for column in range(1, 7)}
    for cell in cells:
        assert cell.ccdid == f"C_{cell.slice}{cell.column}"
        serials = serials_of(cell.block)
        assert serials is not None
        assert serials[int(cell.ccd[-1]) - 1] == cell.ccd_serial
        left = cell.column <= 3
        assert cell.ccd == f"CCD{cell.column if left else 7 - cell.column}"
        assert (cell.flip_rows, cell.flip_columns) == (left, not left)
        assert getattr(block(cell.block), f"role_{design}") == "flight"


def test_designs_differ_in_six_places():
    pairs = zip(fpa_map("initial"), fpa_map("final"), strict=True)
    changed = {before.ccdid: (before.block, after.block) for before, after in pairs if before != after}
    assert set(changed) == {"C_44", "C_45", "C_46", "C_54", "C_55", "C_56"}
    assert changed["C_44"] == ("SKLODOWSKA", "OWEN")
    assert changed["C_54"] == ("MAX", "EINSTEIN")


def test_the_design_must_be_named():
    with pytest.raises(TypeError):
        fpa_map()
    with pytest.raises(KeyError, match="final"):
        fpa_map("finale")


def test_places_of_a_block():
    assert cell_of("final", "BORN", "CCD2").ccdid == "C_12"
    assert cell_of("final", "MAX", "CCD1") is None
