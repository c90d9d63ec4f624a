"""Digests of plain content."""

from __future__ import annotations

import json

import xxhash


def digest_of(content: object) -> str:
    """Return the XXH3-128 of a JSON-able object in canonical form."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return xxhash.xxh3_128_hexdigest(text.encode())
