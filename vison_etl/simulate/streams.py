"""Random numbers that depend on what they are for, not on when or where they are drawn.

Every draw has its own stream, keyed by (seed, block, purpose, further integers such as CCD, quadrant and obsid), so that any
frame can be made again alone, in any order and in any process, with the same result.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

Float32 = NDArray[np.float32]
State = NDArray[np.uint64]
"""State of the generator, shape (4,), uint64; advanced in place."""

CCD_INDEX = {"CCD1": 1, "CCD2": 2, "CCD3": 3}
QUADRANT_INDEX = {"E": 1, "F": 2, "G": 3, "H": 4}


class Purpose(IntEnum):
    """What a stream is for: streams of different purposes are independent."""

    CHANNEL = 1
    LIGHT = 2
    RESPONSE = 3
    COLUMNS = 4
    SOURCE_LEVEL = 5
    OFFSET_JITTER = 6
    PHOTONS = 7
    COSMICS = 8
    AMPLIFIER = 9
    HOUSEKEEPING = 10
    TILES = 11
    DARK = 12
    DEFECTS = 13
    DEFECT_CHARGE = 14
    SPOTS = 15
    SPOT_PLACE = 16
    SPOT_PHOTONS = 17
    INJECTION = 18
    INJECTION_NOISE = 19
    TRAPS = 20
    PUMPING_NOISE = 21
    TRANSFER = 22
    RESPONSE_CURVE = 23
    PERSISTENCE = 24
    LATENT_CHARGE = 25
    STRAY = 26
    SOURCE_WANDER = 27


def stream(seed: int, block: str, purpose: Purpose, *keys: int | str) -> np.random.SeedSequence:
    """Return the seed of one stream.

    Parameters
    ----------
    seed
        Seed of the simulation, not negative.
    block
        Block, so that two blocks of one simulation differ.
    keys
        What else the numbers belong to: integers, or texts, which enter by their CRC-32.
    """
    words = [seed, zlib.crc32(block.encode()), int(purpose)]
    words += [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.SeedSequence(words)


def generator(sequence: np.random.SeedSequence) -> np.random.Generator:
    """Return a NumPy generator for few numbers of any distribution."""
    return np.random.Generator(np.random.PCG64(sequence))


def state_of(sequence: np.random.SeedSequence) -> State:
    """Return the state of the fast generator (``normal_row``) for many Gaussian numbers."""
    return np.asarray(sequence.generate_state(4, np.uint64), np.uint64)


@cache
def quantiles() -> Float32:
    """Return 65536 equally probable values, two of which add up to a unit Gaussian number.

    The sum of two has mean 0, variance 1, excess kurtosis -4e-4 and no value beyond 6.2.
    """
    values = ndtri((np.arange(65536) + 0.5) / 65536)
    table = np.asarray(values / np.sqrt(2.0 * np.mean(values**2)), np.float32)
    table.flags.writeable = False
    return table


@njit(cache=True)
def normal_row(state: State, table: Float32, out: Float32) -> None:
    """Fill a row with unit Gaussian numbers: xoshiro256++, four 16-bit look-ups of ``quantiles`` per 64-bit word.

    About five times as fast as a ziggurat. ``state`` is advanced; ``out`` has any length.
    """
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    mask = np.uint64(65535)
    size = out.size
    for i in range((size + 1) // 2):
        word = s0 + s3
        word = ((word << np.uint64(23)) | (word >> np.uint64(41))) + s0
        shifted = s1 << np.uint64(17)
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
        out[2 * i] = table[word & mask] + table[(word >> np.uint64(16)) & mask]
        if 2 * i + 1 < size:
            out[2 * i + 1] = table[(word >> np.uint64(32)) & mask] + table[word >> np.uint64(48)]
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


def normals(sequence: np.random.SeedSequence, shape: tuple[int, ...]) -> Float32:
    """Return unit Gaussian numbers, float32, of the given shape."""
    out = np.empty(int(np.prod(shape)), np.float32)
    normal_row(state_of(sequence), quantiles(), out)
    return out.reshape(shape)
