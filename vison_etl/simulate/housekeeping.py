"""Housekeeping of a simulated exposure: commanded voltages read back, temperatures, supplies, flags, all within limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vison_etl.elvis.logcells import LogValue
from vison_etl.instrument.hk import TIME_KEYS, HkLimit, hk_keys, limits_performance
from vison_etl.simulate.settings import settings
from vison_etl.simulate.streams import Purpose, generator, stream

_CCD_TEMPERATURE = "_TEMP_"
_SIDES = {"T": "tt", "B": "tb"}


def version() -> str:
    """Return the ELVIS version whose keys are written."""
    return str(settings()["log"]["version"])


@cache
def written_keys() -> tuple[str, ...]:
    """Return the keys of a housekeeping file without the time column, in file order."""
    return tuple(key for key in hk_keys(version()) if key not in TIME_KEYS)


@cache
def _limits() -> Mapping[str, HkLimit]:
    return {limit.key: limit for limit in limits_performance(version())}


def _is_ccd_temperature(key: str) -> bool:
    return key.startswith("CCD") and _CCD_TEMPERATURE in key


def _logged_temperature(key: str) -> str:
    """Return the log column of a CCD temperature: ``CCD2_TEMP_B`` is ``r1c2_tb_degc``."""
    return f"r1c{key[3]}_{_SIDES[key[-1]]}_degc"


@cache
def _standing_error(seed: int, block: str, key: str) -> float:
    """Return the constant deviation of a reading, in units of its spread, from -1 to 1."""
    return float(generator(stream(seed, block, Purpose.HOUSEKEEPING, key)).uniform(-1.0, 1.0))


def _centre_and_noise(seed: int, block: str, key: str, logged: Mapping[str, LogValue]) -> tuple[float, float]:
    raw = settings()["housekeeping"]
    error = _standing_error(seed, block, key)
    if _is_ccd_temperature(key):
        return float(str(logged[_logged_temperature(key)])), raw["temperature_noise_degc"]
    limit = _limits().get(key)
    if limit is None:
        return 0.0, 0.0
    if limit.kind == "I" or limit.hi is None:
        return limit.lo, 0.0
    if limit.kind == "R":
        commanded = logged[limit.command_column or ""]
        if not isinstance(commanded, int | float):
            raise TypeError(f"{limit.command_column} commands {key} and must be a number, not {commanded!r}")
        return commanded + error * raw["voltage_error"], raw["voltage_noise"]
    interval = limit.hi - limit.lo
    middle = 0.5 * (limit.lo + limit.hi)
    return middle + error * raw["spread"] * interval, 0.02 * interval


def readings(seed: int, block: str, obsid: int, logged: Mapping[str, LogValue]) -> NDArray[np.float64]:
    """Return the readings of one exposure.

    Commanded voltages come back within 0.05 V, CCD temperatures within 0.1 degC of the log's, everything else near the middle of its
    performance limits, flags as they must be.

    Parameters
    ----------
    logged
        Commanded values by normalised name.

    Returns
    -------
    NDArray
        Shape (readings, keys of ``written_keys()``), float64.
    """
    rng = generator(stream(seed, block, Purpose.HOUSEKEEPING, obsid))
    lo, hi = settings()["housekeeping"]["readings"]
    number = int(rng.integers(lo, hi + 1))
    described = [_centre_and_noise(seed, block, key, logged) for key in written_keys()]
    centre, noise = np.array(described).T
    noisy = centre + noise * np.clip(rng.standard_normal((number, centre.size)), -3.0, 3.0) / 3.0
    digits = settings()["housekeeping"]["decimals"]
    return np.asarray(np.where(noise > 0.0, np.round(noisy, digits), centre))


def ccd_temperatures(seed: int, block: str, obsid: int, commanded_degc: float) -> dict[str, float]:
    """Return the temperatures that the log shows, within 0.25 degC of those of the test, by normalised name."""
    rng = generator(stream(seed, block, Purpose.HOUSEKEEPING, obsid, "log"))
    raw = settings()["housekeeping"]
    out = {}
    for ccd in (1, 2, 3):
        for side, short in _SIDES.items():
            error = _standing_error(seed, block, f"CCD{ccd}_TEMP_{side}")
            value = commanded_degc + error * raw["temperature_error_degc"]
            noise = raw["temperature_noise_degc"] * float(np.clip(rng.standard_normal(), -3.0, 3.0)) / 3.0
            out[f"r1c{ccd}_{short}_degc"] = round(value + noise, 2)
    return out
