"""What went in of point sources, in the tables that results come out in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vison_etl.instrument.chambers import chamber
from vison_etl.simulate.bench import Bench
from vison_etl.simulate.dark import stray_rate_e_per_s
from vison_etl.simulate.exposure import CCDS, Exposure
from vison_etl.simulate.quadrant import shot_spots
from vison_etl.simulate.spots import FWHM_PER_SIGMA, focus_of, spot_truths
from vison_etl.simulate.truth_rows import Acquired, Row, channels, is_lit, keys


def pointed(acquired: Acquired) -> list[Exposure]:
    """Return the exposures lit by the point source."""
    return [exposure for exposure in acquired if is_lit(exposure) and exposure.shot.setup.source == "point"]


def spot_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield every spot of every exposure: place, flux, widths (2.355 root of the second central moments), shape.

    Without the effect of charge on charge and without what spills above the full well.
    """
    for exposure in pointed(acquired):
        background = stray_rate_e_per_s(exposure.shot.setup.environment) * exposure.shot.exptime_s
        for channel in channels(bench):
            for image in shot_spots(channel, bench.geometry, exposure.shot):
                sigma_x, sigma_y = image.sigma_px
                r2 = sigma_x**2 + sigma_y**2
                yield keys(bench, acquired, channel) | {
                    "obsid": exposure.obsid,
                    "spot": image.truth.spot,
                    "x_px": image.x + bench.geometry.prescan,
                    "y_px": image.y,
                    "flux_adu": image.flux_e / channel.gain_e_per_adu,
                    "fwhm_x_px": FWHM_PER_SIGMA * sigma_x,
                    "fwhm_y_px": FWHM_PER_SIGMA * sigma_y,
                    "e1": (sigma_x**2 - sigma_y**2) / r2,
                    "e2": 0.0,
                    "r2_px2": r2,
                    "bgd_adu": background / channel.gain_e_per_adu,
                }


def focus_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the best mirror position of spots, CCDs and block, for acquisitions that move the mirror in focus runs."""
    found = pointed(acquired)
    if len({exposure.shot.setup.mirror_mm for exposure in found}) < 3:
        return
    shot = found[0].shot
    nominal_mm = next(iter(chamber(shot.chamber).mirror_mm.values()))
    common = {
        name: value
        for name, value in keys(bench, acquired, next(channels(bench))).items()
        if name not in {"ccd", "quadrant"}
    }
    best: dict[str, list[tuple[float, float]]] = {ccd: [] for ccd in CCDS}
    for channel in channels(bench):
        for truth in spot_truths(channel, shot.chamber, shot.label, bench.geometry):
            width = FWHM_PER_SIGMA * float(np.sqrt(0.5 * (truth.sigma_x_px**2 + truth.sigma_y_px**2)))
            best[channel.ccd].append((truth.focus_mm, width))
            row = {"scope": "spot", "ccd": channel.ccd, "quadrant": channel.quadrant, "spot": truth.spot}
            yield common | row | {"best_focus_mm": nominal_mm + truth.focus_mm, "best_fwhm_px": width}
    means = {ccd: np.mean(values, axis=0) for ccd, values in best.items()}
    for ccd, (focus_mm, width) in means.items():
        tilt = focus_of(bench.seed, bench.block, ccd)
        yield common | {
            "scope": "ccd",
            "ccd": ccd,
            "quadrant": "all",
            "spot": "all",
            "best_focus_mm": nominal_mm + float(focus_mm),
            "best_fwhm_px": float(width),
            "tilt_x_um_per_mm": tilt.tilt_x_um_per_mm,
            "tilt_y_um_per_mm": tilt.tilt_y_um_per_mm,
        }
    focus_mm, width = np.mean(list(means.values()), axis=0)
    whole = {"scope": "block", "ccd": "all", "quadrant": "all", "spot": "all"}
    yield common | whole | {"best_focus_mm": nominal_mm + float(focus_mm), "best_fwhm_px": float(width)}


def width_rows(bench: Bench, acquired: Acquired) -> Iterator[Row]:
    """Yield the mean width of the spots at no signal, for acquisitions of several fluences at one mirror position."""
    found = pointed(acquired)
    if len({e.shot.exptime_s for e in found}) < 3 or len({e.shot.setup.mirror_mm for e in found}) > 1:
        return
    for channel in channels(bench):
        sigma = [image.sigma_px for image in shot_spots(channel, bench.geometry, found[0].shot)]
        width_x, width_y = FWHM_PER_SIGMA * np.mean(sigma, axis=0)
        yield keys(bench, acquired, channel) | {
            "variant": "bfe_corrected",
            "fwhm_x_px": float(width_x),
            "fwhm_y_px": float(width_y),
        }


TABLES: Mapping[str, Callable[[Bench, Acquired], Iterator[Row]]] = {
    "spots": spot_rows,
    "focus": focus_rows,
    "psf_width": width_rows,
}
