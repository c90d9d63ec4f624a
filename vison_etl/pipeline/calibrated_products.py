"""Products that calibrations make: written before the run that names them, under a name that tells their content.

Equal content has one file, whatever run made it: what reads it need not be done again when a test is analysed anew with the same
result. A file without a run, left by a process that was killed, is found by the next run that makes the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xxhash

from vison_etl.effects.declare import Product
from vison_etl.lake.parts import write_bytes
from vison_etl.lake.paths import Lake


def write_products(
    lake: Lake, block: str, test: str, acquisition: str, products: Sequence[Product], cards: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    """Write products and yield their rows of table ``products``.

    Parameters
    ----------
    block, test, acquisition
        Of the run.
    products
        What its calibrations made: one of each kind per CCD.
    cards
        Provenance, the same for all; those of a product come after and win.
    """
    if not products:
        return
    from vison_etl.products.fits import to_bytes  # noqa: PLC0415 - astropy is slow to import and seldom needed

    for product in products:
        content = to_bytes(product.extensions, {**cards, **product.cards})
        digest = xxhash.xxh3_128_hexdigest(content)
        stem = f"{acquisition.replace('/', '_')}_{product.kind}_{product.ccd}_{digest[:12]}.fits"
        path = Path("products") / f"block={block}" / f"test={test}" / stem
        write_bytes(lake.root / path, content)
        yield {"kind": product.kind, "ccd": product.ccd, "path": os.fspath(path), "digest": digest}
