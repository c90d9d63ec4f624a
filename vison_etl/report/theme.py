"""The look of every chart, registered as one Altair theme; fonts, sizes and colours are data (``theme.toml``)."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import cast

import altair as alt

from vison_etl.effects.charts import WORDS

NAME = "vison_etl"


@alt.theme.register(NAME, enable=False)
def vison_etl_theme() -> alt.theme.ThemeConfig:
    """Return the theme: readable at 1366 x 768, light grid, a colour for each of `WORDS`, named styles for limits and models."""
    raw = tomllib.loads((files("vison_etl.report") / "theme.toml").read_text(encoding="utf-8"))
    config = raw["config"]
    config["range"]["category"] = [raw["colours"][word] for word in WORDS]
    return cast("alt.theme.ThemeConfig", {"config": config})
