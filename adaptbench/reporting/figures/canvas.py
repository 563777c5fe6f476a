"""Figures that are the same bytes on every machine: no pyplot, no date, no program name, no user's style."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.storage import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours of text, and of text that matters less.
INK, QUIET = "#1b2430", "#667085"
_DPI = 130


@contextmanager
def plain_style() -> Iterator[None]:
    """Matplotlib as shipped, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcParams.update(
            {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        )
        matplotlib.rcParams.update(
            {"font.family": "DejaVu Sans", "text.color": INK, "text.parse_math": False}
        )
        yield


def empty_figure(width: float, height: float) -> Figure:
    """An empty white figure on the Agg canvas, without pyplot's global state. Units: inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes ``figure`` as PNG.

    Raises:
        RunStateError: ``path`` cannot be written.
    """
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})
