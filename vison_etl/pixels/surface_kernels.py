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


@compiled
def _row_moments(a: Floats32, b: Floats32, used: Floats32, x: Floats32, out: Floats) -> None:
    """Fill the sums over one row of u x^0 ... u x^6, a x^0 ... a x^3, b x^0 ... b x^3, aa, ab, bb; a, b are 0 where u is."""
    s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    s4, s5, s6 = np.float32(0), np.float32(0), np.float32(0)
    a0, a1, a2, a3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    b0, b1, b2, b3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    aa, ab, bb = np.float32(0), np.float32(0), np.float32(0)
    for i in range(a.size):
        u, x1, va, vb = used[i], x[i], a[i], b[i]
        x2 = x1 * x1
        x3 = x2 * x1
        s0 += u
        s1 += u * x1
        s2 += u * x2
        s3 += u * x3
        s4 += u * x2 * x2
        s5 += u * x3 * x2
        s6 += u * x3 * x3
        a0 += va
        a1 += x1 * va
        a2 += x2 * va
        a3 += x3 * va
        b0 += vb
        b1 += x1 * vb
        b2 += x2 * vb
        b3 += x3 * vb
        aa += va * va
        ab += va * vb
        bb += vb * vb
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = s0, s1, s2, s3, s4, s5, s6
    out[7], out[8], out[9], out[10] = a0, a1, a2, a3
    out[11], out[12], out[13], out[14] = b0, b1, b2, b3
    out[15], out[16], out[17] = aa, ab, bb


@compiled
def equations(
    a: Floats32, b: Floats32, used: Floats32, x: Floats32, gram: Floats, right: Floats, squares: Floats
) -> float:
    """Fill the normal equations of both surfaces (lower triangle) and [aa, ab, bb]; return the number of cells used."""
    row, powers, moments = np.empty(18), np.empty(2 * ORDER + 1), np.zeros((2 * ORDER + 1, 2 * ORDER + 1))
    right[:], squares[:] = 0.0, 0.0
    for j in range(a.shape[0]):
        _row_moments(a[j], b[j], used[j], x, row)
        powers[0] = 1.0
        for q in range(2 * ORDER):
            powers[q + 1] = powers[q] * x[j]
        for p in range(2 * ORDER + 1):
            for q in range(2 * ORDER + 1 - p):
                moments[p, q] += row[p] * powers[q]
        for k in range(N_TERMS):
            p, q = TERMS[k]
            right[0, k] += row[7 + p] * powers[q]
            right[1, k] += row[11 + p] * powers[q]
        for k in range(3):
            squares[k] += row[15 + k]
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
def common(gram: Floats, right: Floats, squares: Floats, n: float, z: Floats, out: Floats) -> float:
    """Factorise the equations of n cells, fill z of both images and what they share; see ``common_about_surface``."""
    out[:] = math.nan
    if n <= N_TERMS or not factorise(gram):
        return 0.0
    forward(gram, right[0], z[0])
    forward(gram, right[1], z[1])
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
    gram, right, squares = np.empty((N_TERMS, N_TERMS)), np.empty((2, N_TERMS)), np.empty(3)
    n = equations(a, b, used, x, gram, right, squares)
    return common(gram, right, squares, n, np.empty((2, N_TERMS)), out)
