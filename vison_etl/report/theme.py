"""The look of every chart: fonts, sizes and colours, registered as one Altair theme.

Colours are those of Okabe and Ito (2008), distinguishable with every common colour-vision deficiency. Each word of
`WORDS` has its colour for ever: E, F, G and H look the same on every page.
"""

from __future__ import annotations

import altair as alt

from vison_etl.effects.charts import WORDS

NAME = "vison_etl"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK = "#1f2328"
MUTED = "#59636e"
GRID = "#e7eaee"
LIMIT = "#b42318"
BAND = "#b9c2cc"

COLOURS = {
    "E": "#0072b2",
    "F": "#d55e00",
    "G": "#009e73",
    "H": "#cc79a7",
    "pre": "#56b4e9",
    "img": "#1f2328",
    "ove": "#e69f00",
    "pov": "#8c6bb1",
    "CCD1": "#0072b2",
    "CCD2": "#d55e00",
    "CCD3": "#009e73",
}


@alt.theme.register(NAME, enable=False)
def vison_etl_theme() -> alt.theme.ThemeConfig:
    """Return the theme: readable at 1366 x 768, no decoration, light grid, named mark styles for limits and models."""
    return alt.theme.ThemeConfig(
        {
            "config": {
                "background": "white",
                "font": FONT,
                "padding": 4,
                "view": {"stroke": "#cfd6de", "continuousWidth": 420, "continuousHeight": 240},
                "axis": _axis(),
                "axisY": {"minExtent": 38},
                "header": {
                    "labelFontSize": 12,
                    "labelFontWeight": 600,
                    "labelColor": INK,
                    "labelPadding": 4,
                    "titleFontSize": 12,
                    "titleColor": MUTED,
                },
                "legend": {
                    "labelFontSize": 12,
                    "titleFontSize": 12,
                    "titleFontWeight": 600,
                    "labelColor": INK,
                    "titleColor": INK,
                    "symbolSize": 70,
                    "symbolOpacity": 1,
                    "gradientLength": 180,
                },
                "title": {"fontSize": 13, "fontWeight": 600, "color": INK, "anchor": "start", "offset": 6},
                "range": {
                    "category": [COLOURS[word] for word in WORDS],
                    "heatmap": {"scheme": "viridis"},
                    "ramp": {"scheme": "viridis"},
                    "ordinal": {"scheme": "viridis"},
                    "diverging": {"scheme": "purpleorange"},
                },
                "point": {"filled": True, "size": 26, "opacity": 0.9},
                "line": {"strokeWidth": 1.6},
                "rule": {"strokeWidth": 1.1, "color": MUTED},
                "rect": {"invalid": None},
                "text": {"fontSize": 11, "color": INK},
                "facet": {"spacing": 12},
                "concat": {"spacing": 14},
                "style": _styles(),
            }
        }
    )


def _axis() -> dict[str, object]:
    return {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": 600,
        "titlePadding": 6,
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": GRID,
        "domainColor": "#9aa4af",
        "tickColor": "#9aa4af",
        "labelFlush": False,
        "labelOverlap": "greedy",
        "tickCount": 5,
    }


def _styles() -> dict[str, object]:
    return {
        "limit": {"color": LIMIT, "strokeWidth": 1.3, "strokeDash": [5, 3]},
        "limit-label": {"color": LIMIT, "fontSize": 10.5},
        "model": {"color": INK, "strokeWidth": 1.4},
        "second-model": {"color": MUTED, "strokeWidth": 1.4, "strokeDash": [4, 3]},
        "zero": {"color": MUTED, "strokeWidth": 1},
        "mark": {"color": "#8250df", "strokeWidth": 1.4, "strokeDash": [2, 2]},
        "band": {"color": BAND, "opacity": 0.45},
        "outline": {"fillOpacity": 0, "stroke": "#57606a", "strokeWidth": 1.4},
        "empty": {"color": "#f1f3f5", "stroke": "#d8dee4", "strokeWidth": 0.6},
        "fail": {"fillOpacity": 0, "stroke": LIMIT, "strokeWidth": 2},
        "quadrant-letter": {"color": "#ffd33d", "fontSize": 15, "fontWeight": 700, "stroke": INK, "strokeWidth": 0.5},
        "note": {"color": MUTED, "fontSize": 11},
    }
