from __future__ import annotations

import builtins
import os

import numpy as np
import pytest

from vison_etl.elvis import bands as bands_module
from vison_etl.elvis.frames import FrameError, open_group, write_frame
from vison_etl.instrument.geometry import quadrant_view


def _write(folder, n, shape=(552, 654)):
    images = [np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16) for seed in range(n)]
    paths = [folder / f"{seed}.fits" for seed in range(n)]
    for path, image in zip(paths, images, strict=True):
        write_frame(path, image, {"OBSID": 1})
    return paths, np.stack(images)


@pytest.mark.parametrize("rows", [1, 7, 64, 276, 5000])
def test_every_row_of_every_quadrant_comes_once_in_canonical_order(tmp_path, rows):
    paths, images = _write(tmp_path, 3)
    with open_group(paths, [11, 12, 13], "CCD2", 0, 2086) as group:
        assert (group.ccd, group.obsids, group.vstart, group.vend) == ("CCD2", (11, 12, 13), 0, 2086)
        assert len(group.stamps) == 3
        read = {quadrant: np.full((3, 276, 327), 7, np.uint16) for quadrant in "EFGH"}
        counted = dict.fromkeys("EFGH", 0)
        for quadrant, y0, band in group.bands(rows):
            assert band.shape[1] <= rows
            assert y0 == counted[quadrant]
            counted[quadrant] += band.shape[1]
            read[quadrant][:, y0 : y0 + band.shape[1]] = band
        geometry = group.geometry
    for quadrant, frames in read.items():
        for frame, image in zip(frames, images, strict=True):
            assert np.array_equal(frame, quadrant_view(image, geometry, quadrant))


def test_bands_are_views_of_bounded_memory(tmp_path, monkeypatch):
    paths, _ = _write(tmp_path, 4)
    monkeypatch.setattr(bands_module, "MAX_BAND_BYTES", 4 * 654 * 2 * 10)
    with open_group(paths, range(4), "CCD1", 0, 2086) as group:
        bands = [(quadrant, band) for quadrant, _, band in group.bands(276)]
    assert max(band.shape[1] for _, band in bands) == 10
    assert all(band.base is not None for _, band in bands)


def test_each_file_is_opened_once_and_closed(tmp_path, monkeypatch):
    paths, _ = _write(tmp_path, 3)
    opened = []
    original = os.open

    def counting(path, *arguments, **options):
        descriptor = original(path, *arguments, **options)
        opened.append((str(path), descriptor))
        return descriptor

    monkeypatch.setattr(os, "open", counting)
    monkeypatch.setattr(builtins, "open", None)
    with open_group(paths, range(3), "CCD1", 0, 2086) as group:
        for _ in group.bands(100):
            pass
        for _ in group.bands(50):
            pass
    assert [path for path, _ in opened] == [str(path) for path in paths]
    for _, descriptor in opened:
        with pytest.raises(OSError):
            os.fstat(descriptor)


def test_bad_files_are_named(tmp_path):
    paths, _ = _write(tmp_path, 2)
    paths[1].write_bytes(paths[1].read_bytes()[:9000])
    with pytest.raises(FrameError, match=r"truncated: 1\.fits"), open_group(paths, [1, 2], "CCD1", 0, 2086):
        pass
    write_frame(paths[1], np.zeros((852, 954), np.uint16), {})
    with pytest.raises(FrameError, match=r"bad_geometry: 1\.fits differs"), open_group(paths, [1, 2], "CCD1", 0, 2086):
        pass
    with pytest.raises(FrameError, match="missing"), open_group([tmp_path / "x"], [1], "CCD1", 0, 2086):
        pass
    with pytest.raises(ValueError, match="2 files for 1"), open_group(paths, [1], "CCD1", 0, 2086):
        pass
    with pytest.raises(ValueError, match="0 files"), open_group([], [], "CCD1", 0, 2086):
        pass


def test_a_file_that_shrinks_while_read_is_truncated(tmp_path):
    paths, _ = _write(tmp_path, 2)
    with open_group(paths, [1, 2], "CCD1", 0, 2086) as group:
        with paths[0].open("r+b") as file:
            file.truncate(20000)
        with pytest.raises(FrameError, match="truncated"):
            list(group.bands(100))
