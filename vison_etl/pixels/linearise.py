"""Frames as a linear chain would have given them, by lookup in the inverse of a measured response."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SATURATED = 65535
CODES = 65536
_ROWS = 64


def linear_codes(measured_adu: Floats, linear_adu: Floats, offset_adu: float) -> NDArray[np.float32]:
    """Return the linear signal, ADU above the offset, of each of the 65536 codes.

    Parameters
    ----------
    measured_adu, linear_adu
        Inverse response: measured signals in rising order, from 0, and what a linear chain shows. Shape (n,).
    offset_adu
        Code of no signal.

    Returns
    -------
    ndarray
        float32, shape (65536,). Below the offset the ratio at zero is kept, so that noise stays symmetric. NaN above the last measured
        signal, and for code 65535, which may stand for any light; nothing is extrapolated.
    """
    signal = np.arange(CODES, dtype=np.float64) - offset_adu
    ratio = np.ones_like(linear_adu)
    np.divide(linear_adu, measured_adu, out=ratio, where=measured_adu > 0.0)
    ratio[0] = ratio[1] + (ratio[1] - ratio[2]) * measured_adu[1] / (measured_adu[2] - measured_adu[1])
    found = signal * np.interp(signal, measured_adu, ratio)
    found[signal > measured_adu[-1]] = np.nan
    found[SATURATED] = np.nan
    return found.astype(np.float32)


def linearise(codes: NDArray[Any], table: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Look up the codes of one quadrant, any view of a frame of uint16, and write the linear signals into ``out``.

    By bands of rows: no other frame of floats is made. Shapes of ``codes`` and ``out`` are equal, and both may be views.

    Raises
    ------
    TypeError
        If the codes are not unsigned 16-bit numbers of the machine's byte order.
    """
    if codes.dtype != np.uint16:
        raise TypeError(f"codes of {codes.dtype}, not uint16")
    for y in range(0, len(codes), _ROWS):
        out[y : y + _ROWS] = table[codes[y : y + _ROWS]]
