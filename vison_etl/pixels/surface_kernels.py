"""Compiled least-squares surfaces of third order over small squares, and what two images have in common about them.

Over a square of n x n cells with x, y from -1 to 1 the surface is the sum of c_pq x^p y^q, p + q <= 3. With u = 1 for a cell that is
used and N of them used, two images a and b have about their surfaces the covariance

    C = [ sum u a b - c_a . r_b ] / (N - 10),      r_pq = sum u x^p y^q b,

which is unbiased for white structure: ten numbers were fitted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vison_etl.pixels.compiled import compiled

ORDER = 3
TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
"""Powers of x and y of the terms of a surface."""

N_TERMS = 10

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]


N_SUMS = 11
"""Sums down each column of two images: a, a y, a y², a y³, the same of b, aa, ab, bb."""


@compiled
def _down_columns(a: Floats32, b: Floats32, y: Floats32, sums: Floats32) -> None:
    """Fill the ``N_SUMS`` sums of every column, shape (N_SUMS, columns): a row at a time, so that columns go side by side."""
    sums[:] = np.float32(0)
    a_0, a_1, a_2, a_3, b_0, b_1 = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    b_2, b_3, aa, ab, bb = sums[6], sums[7], sums[8], sums[9], sums[10]
    for j in range(a.shape[0]):
        y_1 = y[j]
        y_2 = y_1 * y_1
        y_3 = y_2 * y_1
        row_a, row_b = a[j], b[j]
        for i in range(row_a.size):
            va, vb = row_a[i], row_b[i]
            a_0[i] += va
            a_1[i] += y_1 * va
            a_2[i] += y_2 * va
            a_3[i] += y_3 * va
            aa[i] += va * va
        for i in range(row_a.size):
            va, vb = row_a[i], row_b[i]
            b_0[i] += vb
            b_1[i] += y_1 * vb
            b_2[i] += y_2 * vb
            b_3[i] += y_3 * vb
            ab[i] += va * vb
            bb[i] += vb * vb


@compiled
def _along_columns(sums: Floats32, x: Floats32, out: Floats) -> None:
    """Fill r_pq of one image, in the order of ``TERMS``, from its four sums down the columns."""
    r_0, r_1, r_2, r_3, r_4, r_5, r_6, r_7, r_8, r_9 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        x_1 = float(x[i])
        x_2 = x_1 * x_1
        y_0, y_1, y_2 = float(sums[0, i]), float(sums[1, i]), float(sums[2, i])
        r_0 += y_0
        r_1 += x_1 * y_0
        r_2 += y_1
        r_3 += x_2 * y_0
        r_4 += x_1 * y_1
        r_5 += y_2
        r_6 += x_1 * x_2 * y_0
        r_7 += x_2 * y_1
        r_8 += x_1 * y_2
        r_9 += float(sums[3, i])
    out[0], out[1], out[2], out[3], out[4] = r_0, r_1, r_2, r_3, r_4
    out[5], out[6], out[7], out[8], out[9] = r_5, r_6, r_7, r_8, r_9


@compiled
def right_sides(a: Floats32, b: Floats32, x: Floats32, sums: Floats32, right: Floats, squares: Floats) -> None:
    """Fill the right sides of both surfaces, shape (2, 10), and [aa, ab, bb]; ``sums`` is room for ``N_SUMS`` rows."""
    _down_columns(a, b, x, sums)
    _along_columns(sums[:4], x, right[0])
    _along_columns(sums[4:8], x, right[1])
    aa, ab, bb = 0.0, 0.0, 0.0
    for i in range(x.size):
        aa += float(sums[8, i])
        ab += float(sums[9, i])
        bb += float(sums[10, i])
    squares[0], squares[1], squares[2] = aa, ab, bb


@compiled
def normal_matrix(used: Floats32, x: Floats32, gram: Floats) -> float:
    """Fill the normal matrix of the cells used (lower triangle); return their number."""
    n_powers = 2 * ORDER + 1
    down, moments = np.empty(n_powers), np.zeros((n_powers, n_powers))
    for i in range(used.shape[1]):
        down[:] = 0.0
        for j in range(used.shape[0]):
            if used[j, i] > 0:
                power = 1.0
                for q in range(n_powers):
                    down[q] += power
                    power *= x[j]
        power = 1.0
        for p in range(n_powers):
            for q in range(n_powers - p):
                moments[p, q] += power * down[q]
            power *= x[i]
    for k in range(N_TERMS):
        for m in range(k + 1):
            gram[k, m] = moments[TERMS[k][0] + TERMS[m][0], TERMS[k][1] + TERMS[m][1]]
    return float(gram[0, 0])


@compiled
def factorise(gram: Floats) -> bool:
    """Replace the lower triangle by its Cholesky factor; False where it has none."""
    for i in range(N_TERMS):
        for j in range(i + 1):
            value = gram[i, j]
            for k in range(j):
                value -= gram[i, k] * gram[j, k]
            if i == j:
                if not value > 1e-9:
                    return False
                gram[i, i] = math.sqrt(value)
            else:
                gram[i, j] = value / gram[j, j]
    return True


@compiled
def forward(gram: Floats, right: Floats, out: Floats) -> None:
    """Solve L z = r: products of such z are what the surfaces explain."""
    for i in range(N_TERMS):
        value = right[i]
        for k in range(i):
            value -= gram[i, k] * out[k]
        out[i] = value / gram[i, i]


@compiled
def backward(gram: Floats, z: Floats, out: Floats) -> None:
    """Solve L' c = z: the coefficients of a surface."""
    for m in range(N_TERMS):
        i = N_TERMS - 1 - m
        value = z[i]
        for k in range(i + 1, N_TERMS):
            value -= gram[k, i] * out[k]
        out[i] = value / gram[i, i]


@compiled
def abscissae(n: int) -> Floats32:
    """Return n cell centres from -1 to 1."""
    return np.linspace(-1.0, 1.0, n).astype(np.float32)


@compiled
def common(factor: Floats, right: Floats, squares: Floats, n: float, z: Floats, out: Floats) -> float:
    """Fill z of both images and what they share, from the Cholesky factor of n > 10 cells; see ``common_about_surface``."""
    forward(factor, right[0], z[0])
    forward(factor, right[1], z[1])
    dof = n - N_TERMS
    for k in range(3):
        explained = 0.0
        for i in range(N_TERMS):
            explained += z[k // 2, i] * z[(k + 1) // 2, i]
        out[k] = (squares[k] - explained) / dof
    return float(dof)


@compiled
def common_about_surface(a: Floats32, b: Floats32, used: Floats32, x: Floats32, out: Floats) -> float:
    """Fill [covariance of a with itself, of a with b, of b with itself] about the surfaces; return N - 10, 0 where there is no surface.

    ``a`` and ``b`` are 0 where ``used`` is 0 and not 1; all of shape (n, m), ``x`` of shape (m,), m >= n; columns from n on are never used.
    """
    out[:] = math.nan
    gram, right, squares = np.empty((N_TERMS, N_TERMS)), np.empty((2, N_TERMS)), np.empty(3)
    n = normal_matrix(used, x, gram)
    if n <= N_TERMS or not factorise(gram):
        return 0.0
    right_sides(a, b, x, np.empty((N_SUMS, x.size), np.float32), right, squares)
    return common(gram, right, squares, n, np.empty((2, N_TERMS)), out)
