"""Figures that are the same bytes on every machine: no pyplot, no date, no program name, no user's style."""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptbench.storage import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of text, of text that matters less, and of grids.
INK, QUIET, GRID = "#1b2430", "#667085", "#d5dae1"
#: Series of a chart, told apart by colour, then by dash; they stand out from a white and from a dark page.
#: Source: after Okabe and Ito (2008).
COLOURS = ("#0072b2", "#c2410c", "#007a5a", "#b0408a", "#8a6d00", "#3b82b6", "#6f747c", "#7c3aed")
DASHES = ("-", "--", ":", "-.")
#: Greys of a figure -> what they are called in the page's style sheet, which has them for light and dark.
_STYLED = {INK: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--line)"}
#: What an SVG can do without: names of groups, turns by nothing, indentation, and a font that the page sets.
_NEEDLESS = r"""(?<=<g) id="[^"]*"| transform="rotate\(-0 [^"]*"|(?<=\n) +| font-family: 'DejaVu Sans';"""
_DPI = 130
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), QUIET),
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def plain_style() -> AbstractContextManager[None]:
    """Matplotlib as shipped, with our colours, whatever the user's matplotlibrc says."""
    import matplotlib

    shipped: dict[Any, Any] = {
        key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"
    }
    return matplotlib.rc_context(shipped | _STYLE)


def empty_figure(width: float, height: float) -> Figure:
    """An empty white figure on the Agg canvas, without pyplot's global state. Units: inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def placed_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given from the figure's top left corner. Units: inches."""
    full_width, full_height = figure.get_size_inches()
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


def save(figure: Figure, path: Path) -> None:
    """Writes ``figure`` as PNG."""
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


def inline_svg(figure: Figure, key: str) -> str:
    """``figure`` as an element of a web page, in the colours of its style sheet; all ids begin with ``key``."""
    import matplotlib

    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": key}):
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = re.sub(_NEEDLESS, "", text.getvalue())
    svg = re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>{key}-", svg[svg.index("<svg") :])
    for colour, name in _STYLED.items():
        svg = svg.replace(colour, name)
    return svg
