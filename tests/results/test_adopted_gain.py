"""The gain that counts: one row per channel, from PTC01, else from the nearest PTC02."""

from __future__ import annotations

from tests.results.fake_lake import CHANNELS, ask, store_acquisition, store_run
from vison_etl.lake.paths import Lake
from vison_etl.results.publish import publish


def gains(lake: Lake) -> dict[tuple[str, str], tuple[float, str]]:
    publish(lake)
    found = ask(lake.root, "select ccd, quadrant, gain_e_per_adu, test, model from adopted_gain where block = 'BORN'")
    assert all(row[4] == "exponential" for row in found)
    assert len(found) == len({row[:2] for row in found})
    return {(ccd, quadrant): (gain, test) for ccd, quadrant, gain, test, _ in found}


def store(lake: Lake, test: str, minute: int, gain: float, **more: object) -> None:
    store_run(lake, store_acquisition(lake, "BORN", test, 100 * minute), minute, gain=gain, **more)  # type: ignore[arg-type]


def test_ptc01_first(empty_lake: Lake) -> None:
    store(empty_lake, "PTC02_800", 1, 3.2)
    store(empty_lake, "PTC01", 2, 3.4)
    assert gains(empty_lake) == dict.fromkeys(CHANNELS, (3.4, "PTC01"))


def test_nearest_to_800_nm_and_the_shorter_of_two(empty_lake: Lake) -> None:
    store(empty_lake, "PTC02_590", 1, 3.1)
    store(empty_lake, "PTC02_880", 2, 3.2)
    assert gains(empty_lake) == dict.fromkeys(CHANNELS, (3.2, "PTC02_880"))
    store(empty_lake, "PTC02_720", 3, 3.3)
    assert gains(empty_lake) == dict.fromkeys(CHANNELS, (3.3, "PTC02_720"))


def test_other_temperatures_do_not_count(empty_lake: Lake) -> None:
    store(empty_lake, "PTC02_148K", 1, 3.1)
    store(empty_lake, "PTC02_165R", 2, 3.1)
    assert gains(empty_lake) == {}


def test_channel_by_channel(empty_lake: Lake) -> None:
    store(empty_lake, "PTC01", 1, 3.4, without=(("CCD2", "F"),))
    store(empty_lake, "PTC02_730", 2, 3.3)
    found = gains(empty_lake)
    assert found.pop(("CCD2", "F")) == (3.3, "PTC02_730")
    assert set(found.values()) == {(3.4, "PTC01")}


def test_fit_at_its_bound_counts_and_a_failed_one_does_not(empty_lake: Lake) -> None:
    store(empty_lake, "PTC01", 1, 3.4, gain_status="failed")
    store(empty_lake, "PTC02_730", 2, 3.3, gain_status="bound")
    assert gains(empty_lake) == dict.fromkeys(CHANNELS, (3.3, "PTC02_730"))
