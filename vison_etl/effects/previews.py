"""Small pictures of images as rows of the table ``previews``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vison_etl.effects.declare import Columns, FrameGroup
from vison_etl.instrument.geometry import QUADRANTS, quadrant_view, region_window
from vison_etl.pixels.pictures import picture
from vison_etl.pixels.png import grey_png


def previews(images: Mapping[str, NDArray[np.float32]], group: FrameGroup) -> Columns:
    """Return one row of ``previews`` for each image, by kind.

    Parameters
    ----------
    images
        Kind -> CCD frame, shape (NAXIS2, NAXIS1), ADU or without unit; NaN where there is no data.
    group
        Frames they were made from. The grey scale spans the image areas that were read.
    """
    window = region_window(group.geometry, "img", group.vstart, group.vend)
    small = []
    for image in images.values():
        views = [quadrant_view(image, group.geometry, quadrant) for quadrant in QUADRANTS]
        small.append(picture(image, stretch_over=[] if window is None else [view[window.slices] for view in views]))
    n = len(small)
    return {
        "kind": list(images),
        "ccd": [group.ccd] * n,
        "obsid": [None] * n,
        "width_px": [group.geometry.naxis1] * n,
        "height_px": [group.geometry.naxis2] * n,
        "lo_adu": [found.lo for found in small],
        "hi_adu": [found.hi for found in small],
        "png_base64": [b64encode(grey_png(found.image)).decode("ascii") for found in small],
    }
