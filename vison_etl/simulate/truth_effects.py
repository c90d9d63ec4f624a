"""What went in of dark current, defects, injection, traps, transfer, response, in the tables that results come out in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vison_etl.simulate.bench import Bench
from vison_etl.simulate.dark import dark_rate_e_per_s, stray_rate_e_per_s
from vison_etl.simulate.defects import defects
from vison_etl.simulate.exposure import Exposure
from vison_etl.simulate.injection import column_pattern, injector, level_adu
from vison_etl.simulate.persistence import filled_pixels, persistence
from vison_etl.simulate.pumping import polarity, traps
from vison_etl.simulate.response import in_condition, nl_pct
from vison_etl.simulate.setup import Latent
from vison_etl.simulate.truth_edges import TABLES as EDGE_TABLES
from vison_etl.simulate.truth_rows import Acquired, Row, channels, flats, is_lit, keys

_LEAST_DARK_S = 60.0
_LEAST_WARM_DEGC = 0.0
_CURVE_ADU = tuple(range(2048, 65536, 2048))


def dark_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the dark signal of the image area per channel of an acquisition with long dark exposures, stray light included."""
    long = [e for e in acquired if not is_lit(e) and e.shot.exptime_s >= _LEAST_DARK_S]
    if not long:
        return
    setup, exptime_s = long[0].shot.setup, long[0].shot.exptime_s
    for channel in channels(bench):
        rate = dark_rate_e_per_s(channel, setup.degc) + stray_rate_e_per_s(setup.environment)
        hot = [d for d in defects(channel, bench.geometry) if d.is_hot] if bench.options.has_defects else []
        yield keys(bench, acquired, channel) | {
            "dark_adu": rate * exptime_s / channel.gain_e_per_adu,
            "dark_e_per_px_h": 3600.0 * rate,
            "n_hot": sum(d.height_px for d in hot),
        }


def ramp_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the dark charge that a row gets while it waits for one other, from a warm forward read-out without light or injection."""
    ramps = [e for e in acquired if not is_lit(e) and e.shot.setup.collects and e.shot.setup.injection is None]
    warm = [e for e in ramps if e.shot.exptime_s == 0.0 and e.shot.setup.degc > _LEAST_WARM_DEGC]
    for exposure in warm[-1:]:
        setup = exposure.shot.setup
        for channel in channels(bench):
            rate, gain = dark_rate_e_per_s(channel, setup.degc), in_condition(channel, setup).gain_e_per_adu
            yield keys(bench, acquired, channel) | {
                "obsid": exposure.obsid,
                "slope_adu_per_row": rate * setup.row_s / gain,
                "slope_e_per_row": rate * setup.row_s,
                "dark_adu_per_s": rate / gain,
            }


def defect_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield every defect of the channels, for acquisitions with both dark and lit frames. Value: e-/s, or response."""
    if not bench.options.has_defects or len({is_lit(exposure) for exposure in acquired}) == 1:
        return
    number = 0
    for channel in channels(bench):
        for defect in defects(channel, bench.geometry):
            yield keys(bench, acquired, channel) | {
                "defect_id": number,
                "kind": defect.kind,
                "x": defect.x + bench.geometry.prescan,
                "y": defect.y,
                "width_px": 1,
                "height_px": defect.height_px,
                "value": defect.value,
            }
            number += 1


def injection_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the injected level per exposure and channel; 0 in the half that is not selected."""
    for exposure in acquired:
        injection = exposure.shot.setup.injection
        if injection is None:
            continue
        for channel in channels(bench):
            level = level_adu(channel, injection)
            pattern = column_pattern(channel, bench.geometry)
            yield keys(bench, acquired, channel) | {
                "obsid": exposure.obsid,
                "ig1_v": injection.ig1_v[channel.key[0] - 1],
                "idl_v": injection.idl_v,
                "id_delay_us": exposure.logged["id_dly_us"],
                "half": None if injection.half is None else injection.half.value,
                "level_adu": level,
                "level_e": level * channel.gain_e_per_adu,
                "nonuniformity": float(np.std(pattern)) if level > 0.0 else None,
            }


def _varied(acquired: Acquired, name: str) -> set[float]:
    injections = [e.shot.setup.injection for e in acquired if e.shot.setup.injection is not None]
    return {injection.ig1_v[0] if name == "ig1" else injection.idl_v for injection in injections}


def _common_injection(acquired: Acquired) -> tuple[float, float, float]:
    injection = next(e.shot.setup.injection for e in acquired if e.shot.setup.injection is not None)
    return injection.ig1_v[0], injection.ig2_v, injection.idl_v


def ig1_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the injection curve against IG1 of acquisitions that vary it alone."""
    if len(_varied(acquired, "ig1")) < 4 or len(_varied(acquired, "idl")) > 1:
        return
    _, ig2_v, idl_v = _common_injection(acquired)
    for channel in channels(bench):
        truth = injector(channel)
        yield keys(bench, acquired, channel) | {
            "threshold_v": truth.threshold_ig1_v(idl_v),
            "notch_v": truth.notch_ig1_v(ig2_v),
            "slope_adu_per_v": truth.slope_adu_per_v,
            "notch_level_adu": truth.notch_level_adu,
            "notch_level_e": truth.notch_level_adu * channel.gain_e_per_adu,
        }


def idl_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the injection curve against IDL of acquisitions that vary it alone."""
    if len(_varied(acquired, "idl")) < 4 or len(_varied(acquired, "ig1")) > 1:
        return
    ig1_v, ig2_v, _ = _common_injection(acquired)
    for channel in channels(bench):
        truth = injector(channel)
        yield keys(bench, acquired, channel) | {
            "threshold_v": truth.threshold_idl_v(ig1_v),
            "plateau_adu": truth.level_adu(ig1_v, ig2_v, -np.inf),
            "steepness_per_v": truth.steepness_per_v,
        }


def trap_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield a row per trap and pumping sequence that sees it, in the half that is injected."""
    modes = sorted({(p.direction, p.mode) for e in acquired for p in e.shot.setup.pumping})
    halves = {e.shot.setup.injection.half for e in acquired if e.shot.setup.injection is not None}
    letters = {letter for half in halves if half is not None for letter in half.value}
    number = 0
    for channel in channels(bench):
        for direction, mode in modes if channel.quadrant in letters else ():
            for trap in traps(channel, bench.geometry, direction):
                sign = polarity(trap, mode)
                if not sign:
                    continue
                yield keys(bench, acquired, channel) | {
                    "trap_id": number,
                    "direction": direction,
                    "mode": mode,
                    "x": trap.x + bench.geometry.prescan,
                    "y": trap.y,
                    "polarity": sign,
                    "phase": trap.phase,
                    "tau_us": trap.tau_us,
                    "capture_probability": trap.probability,
                }
                number += 1


def curve_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the response of the chain, for acquisitions with at least five fluences of the flat source."""
    if len({round(e.shot.exptime_s, 6) for e in flats(acquired)}) < 5:
        return
    for channel in channels(bench):
        values = nl_pct(channel, _CURVE_ADU, bench.options.nonlinearity)
        for point, (fluence, value) in enumerate(zip(_CURVE_ADU, values, strict=True)):
            yield keys(bench, acquired, channel) | {
                "point": point,
                "fluence_adu": float(fluence),
                "nl_pct": float(value),
            }


def nonlinearity_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the full well of each channel, for the acquisitions of ``curve_rows``."""
    if not any(True for _ in curve_rows(bench, acquired)):
        return
    for channel in channels(bench):
        gain = in_condition(channel, acquired[0].shot.setup).gain_e_per_adu
        full = {"full_well_adu": channel.full_well_e / gain, "full_well_e": channel.full_well_e}
        yield keys(bench, acquired, channel) | full


def _left(acquired: Acquired) -> list[tuple[Exposure, Latent]]:
    own = {exposure.obsid for exposure in acquired}
    return [(e, latent) for e in acquired for latent in e.shot.setup.latents if latent.obsid in own and not is_lit(e)]


def _signal_adu(
    bench: Bench, exposure: Exposure, latent: Latent, released: Callable[[float, float], float], gain: float
) -> float:
    setup, rows = exposure.shot.setup, bench.geometry.image_rows
    return released(latent.ended_s, exposure.shot.exptime_s + setup.row_s * 0.5 * (rows - 1)) / gain


def decay_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the latent signal of each dark exposure after an overfilling one of the same acquisition."""
    for exposure, latent in _left(acquired):
        for channel in channels(bench):
            released = persistence(channel).released_e
            yield keys(bench, acquired, channel) | {
                "obsid": exposure.obsid,
                "delay_s": latent.ended_s,
                "signal_adu": _signal_adu(bench, exposure, latent, released, channel.gain_e_per_adu),
            }


def persistence_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield area, signal in the first dark exposure and time of release of the latent charge."""
    for exposure, latent in _left(acquired)[:1]:
        for channel in channels(bench):
            truth, gain = persistence(channel), channel.gain_e_per_adu
            signal = _signal_adu(bench, exposure, latent, truth.released_e, gain)
            filled = filled_pixels(channel, bench.geometry, exposure.shot.chamber, latent)
            yield keys(bench, acquired, channel) | {
                "area_px": int(filled.sum()),
                "persistence_adu": signal,
                "persistence_e": signal * gain,
                "tau_s": truth.tau_s,
            }


TABLES: Mapping[str, Callable[[Bench, Acquired], Iterator[Row]]] = {
    "dark_signal": dark_rows,
    "warm_ramp": ramp_rows,
    "defects": defect_rows,
    "injection_levels": injection_rows,
    "injection_vs_ig1": ig1_rows,
    "injection_vs_idl": idl_rows,
    "traps": trap_rows,
    "nonlinearity": nonlinearity_rows,
    "nonlinearity_curve": curve_rows,
    "persistence": persistence_rows,
    "persistence_decay": decay_rows,
    **EDGE_TABLES,
}
