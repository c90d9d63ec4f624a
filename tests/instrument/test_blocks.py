from __future__ import annotations

import csv

import pytest

from tests.reference import reference_file
from vison_etl.instrument.blocks import (
    block,
    block_names,
    block_of_serials,
    blocks,
    chamber_of_block,
    offsets_adu,
    serial_of,
    serials_of,
)

BORN = ("15081-08-02", "15081-16-02", "15081-22-02")


def test_a_block_is_known_by_its_full_triple_only():
    assert block_of_serials(*BORN) == "BORN"
    assert block_of_serials(BORN[1], BORN[0], BORN[2]) is None
    assert block_of_serials(BORN[0], BORN[1], None) is None
    assert block_of_serials(BORN[0], BORN[1], "14462-08-01") is None
    assert block_of_serials("CCD273-XX-X-XXX", "CCD273-XX-X-XXX", "CCD273-XX-X-XXX") is None


def test_serials_are_found_in_longer_entries():
    assert block_of_serials(*(f"CCD273-84-2-F15_SN_{serial}" for serial in BORN)) == "BORN"
    assert serial_of("CCD273-84-2-F15_SN_14311-05-02") == "14311-05-02"
    assert serial_of("14311-05-02 14311-05-03") is None
    assert serial_of("114311-05-02") is None
    assert serial_of(None) is None


def test_triples_are_unique():
    triples = [row.serials for row in blocks() if row.serials]
    assert len(set(triples)) == len(triples) == 14
    assert serials_of("HEISENBERG") is None
    assert serials_of("NOBODY") is None
    assert serials_of("BORN") == BORN


def test_blocks_and_names():
    assert len(blocks()) == 16
    assert (block("GUYE").block_sn, block("GUYE").roe_sn, block("GUYE").role_final) == (6, 3, "flight")
    assert {"BORN", "NOSTROMO", "ALBERT"} <= set(block_names())
    with pytest.raises(KeyError, match="BORN"):
        block("BRON")


@pytest.mark.parametrize(
    ("name", "profile"),
    [("NOSTROMO", "B_NOSTROMO"), ("DIRAC", "A_DIRAC"), ("EINSTEIN", "B_EINSTEIN"), ("ALBERT", None), ("UNKNOWN", None)],
)
def test_chambers_follow_blocks(name, profile):
    assert chamber_of_block(name) == profile


def test_offsets_are_not_guessed():
    offsets = offsets_adu("CURIE")
    assert offsets is not None
    assert len(offsets) == 12
    assert (offsets["CCD1", "E"], offsets["CCD3", "H"]) == (2790.0, 2420.0)
    assert offsets_adu("UNKNOWN") is None
    assert offsets_adu("SOMEBODY") is None


def test_offsets_agree_with_the_reference():
    with reference_file("reference/data/block_offsets.csv").open() as file:
        for row in csv.DictReader(file):
            offsets = offsets_adu(row["block"])
            if offsets is None:
                assert row["block"] in {"UNKNOWN", "WILSON"}  # placeholders
            else:
                assert offsets[row["ccd"], row["quadrant"]] == float(row["adu"])
