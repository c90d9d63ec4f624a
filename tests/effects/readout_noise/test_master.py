"""Master bias: structure recovered, errors hold, products and small tables as promised."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.frames import SMALL, TINY, ArrayGroup, bias_frame, ccd_frame
from tests.pulls import assert_pulls
from vison_etl.effects.readout_noise.master import PARAMETERS, master
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view, region_window
from vison_etl.pixels.stacks import CLIPPED, NO_DATA
from vison_etl.tables import table

ADDED = {"block", "test", "acquisition", "script_column", "unit_key"}


def _structure(rng, geometry=SMALL):
    """Return a fixed pattern without any in the prescan, whose mean is what the offset of a row is."""
    pattern = rng.normal(0, 0.8, (geometry.quadrant_rows, geometry.quadrant_columns))
    pattern += 3.0 * np.exp(-np.arange(geometry.quadrant_columns) / 40.0)
    pattern[:, :51] = 0.0
    return pattern


def _group(seed, n, *, drifts=True, geometry=SMALL, **kwargs):
    rng = np.random.default_rng(seed)
    structure = _structure(rng, geometry)
    frames = []
    for k in range(n):
        drift = k + np.cumsum(rng.normal(0, 0.02, geometry.quadrant_rows)) if drifts else 0.0
        frames.append(bias_frame(rng, geometry, structure=structure, drift=drift))
    return ArrayGroup(tuple(frames), geometry, **kwargs), structure


@pytest.mark.parametrize("n", [3, 5, 10])
def test_structure_is_recovered_within_its_errors(n):
    group, structure = _group(1, n)
    extensions = master(group, PARAMETERS).products[0].extensions
    image = region_window(SMALL, "img", 0, 2086).slices
    for quadrant in QUADRANTS:
        mean, error = (quadrant_view(extensions[name], SMALL, quadrant)[image] for name in ("STACK", "SEM"))
        pulls = (mean - structure[image]) / error
        assert abs(pulls.mean()) < 0.1  # the offset of the whole frame is as good as the prescan allows
        assert np.std(pulls) == pytest.approx(1.0, abs=0.03)


def test_pulls_of_single_pixels_far_apart():
    found = []
    for seed in range(25):
        group, structure = _group(100 + seed, 4, drifts=False, geometry=TINY)
        extensions = master(group, PARAMETERS).products[0].extensions
        for quadrant in QUADRANTS:
            for y, x in ((5, 60), (25, 70), (45, 80), (65, 90)):
                mean, error = (quadrant_view(extensions[name], TINY, quadrant)[y, x] for name in ("STACK", "SEM"))
                found.append((mean, error, structure[y, x]))
    values, errors, truth = np.array(found).T
    assert_pulls(values, errors, truth)


def test_extensions_and_cards():
    group, _ = _group(2, 3)
    product = master(group, PARAMETERS).products[0]
    assert (product.kind, product.ccd) == ("master_bias", "CCD1")
    assert {name: (image.dtype.name, image.shape) for name, image in product.extensions.items()} == {
        "STACK": ("float32", (552, 654)),
        "STD": ("float32", (552, 654)),
        "SEM": ("float32", (552, 654)),
        "MASK": ("uint8", (552, 654)),
    }
    assert product.cards["NCOMB"] == 3
    assert product.cards["NOISE_E"] == pytest.approx(np.sqrt(1.44 + 1 / 12), rel=0.02)
    assert all(len(card) <= 8 for card in product.cards)


def test_a_hit_in_one_of_three_frames_leaves_no_trace():
    group, structure = _group(3, 3)
    view = quadrant_view(group.frames[1], SMALL, "F")
    view[100:110, 100:110] += 80
    extensions = master(group, PARAMETERS).products[0].extensions
    mean, mask = (quadrant_view(extensions[name], SMALL, "F")[100:110, 100:110] for name in ("STACK", "MASK"))
    assert (mask == CLIPPED).all()
    assert abs(np.mean(mean - structure[100:110, 100:110])) < 0.5


def test_profiles():
    group, structure = _group(4, 5, vend=256)
    profiles = pl.DataFrame(dict(master(group, PARAMETERS).tables["profiles"]))
    assert set(profiles.columns) == set(table("profiles").names) - ADDED
    assert (
        profiles.group_by("quadrant", "direction").len().sort("quadrant", "direction")["len"].to_list()
        == [256, 327] * 4
    )
    serial = profiles.filter(quadrant="G", direction="serial").sort("position")
    np.testing.assert_allclose(serial["value_adu"].to_numpy()[51:], structure[:256, 51:].mean(axis=0), atol=0.25)
    assert serial["n"].max() == 256
    window = region_window(SMALL, "img", 0, 256)
    parallel = profiles.filter(quadrant="G", direction="parallel").sort("position")
    truth = structure[:256, window.x0 : window.x1]
    np.testing.assert_allclose(parallel["value_adu"], truth.mean(axis=1), atol=0.35)
    spread = np.hypot(truth.std(), 1.23 / np.sqrt(5)) / np.sqrt(246)
    assert parallel["value_adu_err"].mean() == pytest.approx(spread, rel=0.1)


def test_parallel_profile_reaches_into_the_overscan():
    group, _ = _group(5, 2)
    profiles = pl.DataFrame(dict(master(group, PARAMETERS).tables["profiles"]))
    assert profiles.filter(direction="parallel")["position"].max() == SMALL.quadrant_rows - 1


def test_preview():
    group, _ = _group(6, 2)
    preview = pl.DataFrame(dict(master(group, PARAMETERS).tables["previews"]))
    assert set(preview.columns) == set(table("previews").names) - ADDED
    row = preview.row(0, named=True)
    assert (row["width_px"], row["height_px"], row["obsid"]) == (654, 552, None)
    assert row["lo_adu"] < 0 < row["hi_adu"]
    assert base64.b64decode(row["png_base64"]).startswith(b"\x89PNG")


def test_rows_that_were_not_read_and_dead_quadrants_have_no_data():
    rng = np.random.default_rng(7)
    h, w = SMALL.quadrant_rows, SMALL.quadrant_columns
    frames = tuple(
        ccd_frame(SMALL, {q: rng.normal(2600, 1.2, (h, w)) if q != "E" else np.zeros((h, w)) for q in QUADRANTS})
        for _ in range(3)
    )
    found = master(ArrayGroup(frames, vend=256), PARAMETERS)
    extensions = found.products[0].extensions
    dead = quadrant_view(extensions["MASK"], SMALL, "E")
    assert (dead == NO_DATA).all()
    assert np.isnan(quadrant_view(extensions["STACK"], SMALL, "E")).all()
    unread = quadrant_view(extensions["MASK"], SMALL, "G")[256:]
    assert (unread == NO_DATA).all()
    profiles = pl.DataFrame(dict(found.tables["profiles"])).filter(quadrant="E")
    assert profiles["n"].max() == 0
    assert found.products[0].cards["NOISE_E"] is None


def test_one_frame_makes_a_master_without_errors():
    group, _ = _group(8, 1)
    extensions = master(group, PARAMETERS).products[0].extensions
    assert np.isfinite(extensions["STACK"]).all()
    assert np.isnan(extensions["SEM"]).all()


def test_a_frame_without_any_valid_pixel_still_has_a_picture():
    image = np.zeros((TINY.naxis2, TINY.naxis1), np.uint16)
    found = master(ArrayGroup((image, image), TINY), PARAMETERS)
    assert found.tables["previews"]["lo_adu"] == [None]


_PEAK = """
import resource
import numpy as np
from tests.frames import SMALL, ArrayGroup
from vison_etl.effects.readout_noise.master import PARAMETERS, master
from vison_etl.effects.readout_noise.measure import noise
from vison_etl.instrument.geometry import geometry_of
from dataclasses import dataclass

@dataclass
class Repeated:
    obsids: tuple
    geometry: object
    ccd: str = "CCD1"
    vstart: int = 0
    vend: int = 2086
    def bands(self, rows):
        g, rng, n = self.geometry, np.random.default_rng(1), len(self.obsids)
        rows = max(1, min(rows, 16 * 2**20 // (2 * g.naxis1 * n)))
        memory = (2600 + rng.integers(-2, 3, (n, rows, g.quadrant_columns))).astype(np.uint16)
        for half in ("HG", "EF"):
            for y0 in range(0, g.quadrant_rows, rows):
                for quadrant in half:
                    yield quadrant, y0, memory[:, : min(rows, g.quadrant_rows - y0)]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

for function in (noise, master):
    function(Repeated((1, 2), SMALL), PARAMETERS)
before = peak()
noise(Repeated(tuple(range(COUNT)), geometry_of(4238, 4172)), PARAMETERS)
after_noise = peak()
master(Repeated(tuple(range(COUNT)), geometry_of(4238, 4172)), PARAMETERS)
print(after_noise - before, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 40])
def test_peak_memory_at_full_size(count):
    script = _PEAK.replace("COUNT", str(count))
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    noise_mb, master_mb = (float(word) for word in done.stdout.split())
    assert noise_mb < 100
    assert master_mb < 400
