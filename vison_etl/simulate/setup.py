"""What the bench is commanded to do in one exposure besides time, light and rows: one record per script column and exposure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vison_etl.instrument.geometry import InjectionHalf

SERIAL_ROW_S = 14.3e-6 * (51 + 2048 + 29)
"""Time to read the pixels of a row, s: that of the longest rows, whatever the frame."""

_PHASES = 4
_HALF_LETTER = {InjectionHalf.BOTTOM: "B", InjectionHalf.TOP: "T"}


@dataclass(frozen=True, slots=True)
class Injection:
    """Charge injection of one exposure.

    ``rows_on``, ``rows_off`` per cycle from the first row; ``half`` the half that the drain delay selects, None if none;
    ``ig1_v`` per CCD number 1 to 3 in that half.
    """

    rows_on: int
    rows_off: int
    half: InjectionHalf | None
    width_us: float
    idl_v: float
    ig1_v: tuple[float, float, float]
    ig2_v: float


@dataclass(frozen=True, slots=True)
class Pumping:
    """Trap pumping in one direction, ``parallel`` or ``serial``; ``time_us`` is the phase time, in serial the dwell."""

    direction: str
    mode: int
    cycles: int
    time_us: float


@dataclass(frozen=True, slots=True)
class Latent:
    """An overfilling exposure of the point source, ``ended_s`` before the start of this one."""

    obsid: int
    label: str
    open_s: float
    level: float
    mirror_mm: float
    stage_px: tuple[float, float]
    ended_s: float


@dataclass(frozen=True, slots=True)
class Setup:
    """State of the bench in one exposure.

    Parameters
    ----------
    rdmode
        Read-out mode. In ``rwd`` modes charge is clocked away from the node: along columns (``_v``), along the register (``_s``).
    row_s
        Time from row to row, s.
    source, mirror_mm, stage_px
        Source that is lit; position of its mirror, None for the chamber's nominal one; place of the stage, px on the CCD.
    rd_v
        Reset drain of quadrants E, F and of G, H.
    environment
        What the operator noted: selects stray light.
    latents
        What earlier exposures left.
    """

    rdmode: str = "fwd_bas"
    row_s: float = _PHASES * 1e-3 + SERIAL_ROW_S
    source: str = "flat"
    mirror_mm: float | None = None
    stage_px: tuple[float, float] = (0.0, 0.0)
    degc: float = -120.0
    rd_v: tuple[float, float] = (16.0, 16.0)
    environment: str = ""
    injection: Injection | None = None
    pumping: tuple[Pumping, ...] = ()
    latents: tuple[Latent, ...] = ()

    @property
    def collects(self) -> bool:
        """Whether charge of the image reaches the node."""
        return not self.rdmode.startswith("rwd")

    @property
    def reads_register(self) -> bool:
        """Whether charge of the serial register reaches the node."""
        return self.rdmode not in {"rwd_bas_s", "rwd_bas_vs"}


def injected_half(delay_us: float, phase_us: float) -> InjectionHalf | None:
    """Return the half that injects: between 2 and 3 phase times E and F, between 1 and 2 G and H."""
    ratio = delay_us / phase_us
    if 2.0 < ratio < 3.0:
        return InjectionHalf.BOTTOM
    return InjectionHalf.TOP if 1.0 < ratio < 2.0 else None


def injection_of(values: Mapping[str, Any]) -> Injection | None:
    """Return the injection that a column commands; None if it is off."""
    if not values["chinj"]:
        return None
    half = injected_half(float(values["id_dly"]), float(values["toi_ch"]))
    letter = _HALF_LETTER.get(half, "B") if half else "B"
    ig1 = [float(values[f"IG1_{ccd}_{letter}"]) for ccd in (1, 2, 3)]
    return Injection(
        rows_on=int(values["chinj_on"]),
        rows_off=int(values["chinj_of"]),
        half=half,
        width_us=float(values["id_wid"]),
        idl_v=float(values["IDL"]),
        ig1_v=(ig1[0], ig1[1], ig1[2]),
        ig2_v=float(values[f"IG2_{letter}"]),
    )


def pumping_of(values: Mapping[str, Any]) -> tuple[Pumping, ...]:
    """Return the pumping that a column commands, parallel before serial; empty without."""
    found = []
    if values["v_tpump"]:
        found.append(Pumping("parallel", int(values["v_tpmod"]), int(values["v_tp_cnt"]), float(values["toi_tp"])))
    if values["s_tpump"]:
        found.append(Pumping("serial", int(values["s_tpmod"]), int(values["s_tp_cnt"]), float(values["dwell_s"])))
    return tuple(found)


def raster_px(values: Mapping[str, Any], step: int, px_per_um: float) -> tuple[float, float]:
    """Return the place of the stage at the n-th exposure of a column, px: a square raster, x first; (0, 0) when it rests."""
    side = int(values["motr_cnt"])
    if not values["motr_on"] or side < 1:
        return 0.0, 0.0
    size_px = float(values["motr_siz"]) * px_per_um
    return (step % side) * size_px, (step // side % side) * size_px


def row_time_s(values: Mapping[str, Any]) -> float:
    """Return the time from row to row in read-out, s."""
    return _PHASES * float(values["toi_ro"]) * 1e-6 + SERIAL_ROW_S
