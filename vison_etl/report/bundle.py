"""The Vega libraries as one script, made once per version and kept in the user's cache directory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path

import altair as alt
import vl_convert

_EXPORT = "window.vegaEmbed = vegaEmbed;"
_END = "\n/* end of bundle */\n"
"""Mark of a file that is whole."""


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "vison-etl"


@cache
def vega_bundle() -> str:
    """Return vega, vega-lite and vega-embed as one script without network access.

    A cache that cannot be read or written costs the time of making the script again (seconds), nothing else.
    """
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    path = cache_folder() / f"vega-{version}-{metadata.version('vl-convert-python')}.js"
    kept = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = path.read_text(encoding="utf-8")
    if kept.endswith(_END):
        return kept
    script = vl_convert.javascript_bundle(_EXPORT, vl_version=version).replace("</script", "<\\/script") + _END
    _keep(path, script)
    return script


def _keep(path: Path, script: str) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as handle:
            handle.write(script)
        Path(handle.name).replace(path)
