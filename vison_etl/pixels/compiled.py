"""How kernels are compiled: cached on disk, without the interpreter lock, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Kernel = TypeVar("_Kernel", bound=Callable[..., object])


def compiled(function: _Kernel) -> _Kernel:
    """Compile a kernel of arrays and scalars with Numba.

    Never parallel: one thread per worker makes results equal to the bit in every executor. The cache spares each worker the
    compilation.
    """
    return cast("_Kernel", numba.njit(cache=True, nogil=True)(function))
