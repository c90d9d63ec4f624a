"""The kernel as a product: written, read back, and what stands where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from vison_etl.effects.covariance.kernel_file import KIND, QuadrantKernel, kernel_of, product_of, without_kernel
from vison_etl.products.fits import read, to_bytes


def drawn(seed, reach=5):
    rng = np.random.default_rng(seed)
    values = [scale * rng.normal(size=(reach, reach)) for scale in (1e-7, 1e-9, 1e-13, 1e-14)]
    return QuadrantKernel(*values, 3.4, 0.002, 45_000.0, "ok")


def stored(product, tmp_path):
    path = tmp_path / "kernel.fits"
    path.write_bytes(to_bytes(product.extensions, product.cards))
    file = read(path)
    return replace(product, extensions=file.extensions, cards=file.cards)


def test_what_is_written_is_read_back(tmp_path):
    quadrants = {quadrant: drawn(k) for k, quadrant in enumerate("EFG")} | {"H": without_kernel(5, "failed")}
    product = product_of("CCD2", quadrants)
    assert (product.kind, product.ccd) == (KIND, "CCD2")
    file = stored(product, tmp_path)
    for quadrant in "EFG":
        found, wanted = kernel_of(file, quadrant), quadrants[quadrant]
        for name in ("kernel_per_e", "kernel_per_e_err", "growth_per_e2", "growth_per_e2_err"):
            np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-6)
        assert (found.gain_e_per_adu, found.gain_e_per_adu_err, found.max_adu) == (3.4, 0.002, 45_000.0)
        np.testing.assert_allclose(found.walls.east, wanted.walls.east, atol=1e-13)
        assert found.level_walls is not None
    assert kernel_of(file, "H") is None
    assert file.cards["FIT_H"] == "failed"
    assert np.isnan(file.extensions["KERNEL_H"]).all()
    # As displayed: rows are lags along y.
    np.testing.assert_allclose(file.extensions["KERNEL_E"], quadrants["E"].kernel_per_e.T, rtol=1e-6)


def test_a_kernel_that_does_not_grow_has_one_set_of_walls(tmp_path):
    none = np.zeros((5, 5))
    held = replace(drawn(1), growth_per_e2=none, growth_per_e2_err=np.full((5, 5), np.nan))
    found = kernel_of(stored(product_of("CCD1", {"E": held}), tmp_path), "E")
    assert found is not None
    assert found.level_walls is None


def test_a_file_of_another_layout_is_refused(tmp_path):
    product = product_of("CCD1", {"E": drawn(1)})
    with pytest.raises(ValueError, match="KERNEL_F"):
        kernel_of(product, "F")
