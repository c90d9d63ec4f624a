"""The 12 channels of the read-out electronics: their boards, voltages and housekeeping keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from vison_etl.instrument.datafiles import csv_rows
from vison_etl.instrument.geometry import InjectionHalf, RoeBoard

Voltage = Literal["od", "rd", "ig1", "ig2"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel.

    Parameters
    ----------
    channel
        CCD number and quadrant: ``1E`` to ``3H``.
    hk
        Voltage -> housekeeping key that reads it back; also ``idl`` and ``idh``.
    commanded
        Voltage -> column of ``exposures`` that commands it.
    calibration
        Voltage -> key in the voltage calibration; ``id`` serves both injection drain levels.
    """

    channel: str
    ccd: str
    quadrant: str
    board: RoeBoard
    injection_half: InjectionHalf
    hk: dict[str, str]
    commanded: dict[str, str]
    calibration: dict[str, str]


@dataclass(frozen=True, slots=True)
class VoltageScale:
    """Nominal scale between volts and counts.

    ``script``: counts = (V + intercept) / slope. ``hk``: counts = (V - intercept) / slope.
    """

    direction: Literal["script", "hk"]
    key: str
    slope_v_per_count: float
    intercept_v: float

    def counts(self, volts: float) -> float:
        """Return the counts of a voltage."""
        sign = 1.0 if self.direction == "script" else -1.0
        return (volts + sign * self.intercept_v) / self.slope_v_per_count


@cache
def channels() -> tuple[Channel, ...]:
    """Return the 12 channels in the order 1E 1F 1G 1H 2E ... 3H."""
    return tuple(
        Channel(
            channel=row["channel"],
            ccd=row["ccd"],
            quadrant=row["quadrant"],
            board=RoeBoard[row["board"]],
            injection_half=InjectionHalf("EF" if row["quadrant"] in "EF" else "GH"),
            hk={name: row[f"hk_{name}"] for name in ("od", "rd", "ig1", "ig2", "idl", "idh")},
            commanded={name: row[f"{name}_column"] for name in ("od", "rd", "ig1", "ig2")},
            calibration={name: row[f"vcal_{name}"] for name in ("od", "rd", "ig1", "ig2", "id")},
        )
        for row in csv_rows("roe_channels.csv")
    )


@cache
def channel(ccd: str, quadrant: str) -> Channel:
    """Return the channel of a CCD and quadrant; ``KeyError`` if there is none."""
    for row in channels():
        if (row.ccd, row.quadrant) == (ccd, quadrant):
            return row
    raise KeyError(f"no channel {ccd} {quadrant}")


@cache
def voltage_scales() -> tuple[VoltageScale, ...]:
    """Return the nominal scales of all voltages."""
    return tuple(
        VoltageScale(
            direction="script" if row["direction"] == "script" else "hk",
            key=row["key"],
            slope_v_per_count=float(row["slope_v_per_count"]),
            intercept_v=float(row["intercept_v"]),
        )
        for row in csv_rows("voltage_counts.csv")
    )
