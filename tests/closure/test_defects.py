"""Defects found against those put in: nearly all of them, and nearly nothing else, with few frames and with many."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.closure.defect_truth import GEOMETRY, Truth, group_of, pixel_sigma, truth_of
from vison_etl.effects.defects.effect import EFFECT
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MEASUREMENT = EFFECT.measurements[0]
LEAST = (8.0, 6.0)
"""Least contrast of pixels and of columns, sigma."""


@dataclass
class Score:
    """Defects put in, those of them found, and finds that are none, by class."""

    true: dict = field(default_factory=lambda: dict.fromkeys(("pixel", "column", "tail"), 0))
    hit: dict = field(default_factory=lambda: dict.fromkeys(("pixel", "column", "tail"), 0))
    false: dict = field(default_factory=lambda: dict.fromkeys(("pixel", "column"), 0))
    reference: int = 0

    def completeness(self, kind: str) -> float:
        return self.hit[kind] / self.true[kind]

    def purity(self, kind: str) -> float:
        hits = self.hit["pixel"] if kind == "pixel" else self.hit["column"] + self.hit["tail"]
        return hits / (hits + self.false[kind])


def _judge(score: Score, truth: Truth, rows: list[dict], mask: np.ndarray) -> None:
    columns = {row["x"] - GEOMETRY.prescan: row for row in rows if "column" in row["kind"]}
    true_columns = {int(x): int(y) for x, y in truth.columns}
    for x, y in true_columns.items():
        kind = "tail" if y else "column"
        score.true[kind] += 1
        score.hit[kind] += x in columns
    score.false["column"] += sum(x not in true_columns for x in columns)
    true_pixels = {(int(y), int(x)) for y, x in truth.pixels}
    found = set()
    for row in rows:
        if "column" in row["kind"]:
            continue
        x0, y0 = row["x"] - GEOMETRY.prescan, row["y"]
        box = {(y, x) for y in range(y0, y0 + row["height_px"]) for x in range(x0, x0 + row["width_px"])}
        found |= box & true_pixels
        score.false["pixel"] += not box & true_pixels
    # a pixel within a masked column is masked with it
    found |= {(y, x) for y, x in true_pixels if x in columns and columns[x]["is_masked"] and y >= columns[x]["y"]}
    score.true["pixel"] += len(true_pixels)
    score.hit["pixel"] += len(found)
    score.reference += sum(bool(mask[y, x]) for y, x in true_pixels)


def _score(n_frames: int, n_ccds: int, *, light: bool) -> Score:
    score = Score()
    per_quadrant = -(-210 // (4 * n_ccds))
    for seed in range(n_ccds):
        rng = np.random.default_rng([n_frames, light, seed])
        truths = {
            q: truth_of(rng, n_frames, 2 * per_quadrant, 2 * per_quadrant, light=light, least=LEAST) for q in QUADRANTS
        }
        group = group_of(rng, truths, n_frames, light=light)
        extracted = MEASUREMENT.function([group], MEASUREMENT.parameters)
        listed = extracted.tables["measured_defects"]
        rows = [dict(zip(listed, values, strict=True)) for values in zip(*listed.values(), strict=True)]
        residual = extracted.products[0].extensions["FLAT" if light else "DARK"]
        for quadrant in QUADRANTS:
            image = quadrant_view(residual, GEOMETRY, quadrant)[: GEOMETRY.image_rows, GEOMETRY.prescan :]
            outside = (image < -0.5) | (image > 0.5) if light else (image < -1000) | (image > 50)
            _judge(score, truths[quadrant], [row for row in rows if row["quadrant"] == quadrant], outside)
    return score


@pytest.mark.parametrize("light", [False, True], ids=["dark", "flat"])
@pytest.mark.parametrize(("n_frames", "n_ccds"), [(5, 14), pytest.param(80, 6, marks=pytest.mark.lengthy)])
def test_completeness_and_purity(n_frames, n_ccds, light):
    score = _score(n_frames, n_ccds, light=light)
    assert min(score.true.values()) >= 200
    for kind in score.true:
        assert score.completeness(kind) >= 0.99, f"{kind}: {score.hit[kind]} of {score.true[kind]}"
    for kind in score.false:
        assert score.purity(kind) >= 0.99, f"{kind}: {score.false[kind]} false"
    # fixed thresholds of 50 ADU or half the response leave most of these defects in the data
    assert score.reference < 0.75 * score.true["pixel"]
    if light:
        assert pixel_sigma(n_frames, light=True) * LEAST[0] < 0.06
        assert score.reference < 0.5 * score.true["pixel"]
