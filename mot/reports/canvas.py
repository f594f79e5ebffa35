"""Matplotlib figures in one style, saved as PNG."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from mot.errors import MotError
from mot.files import write_bytes

_DPI = 120
# Okabe and Ito's colors, distinguishable with any color vision.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, BLACK, GREY = "#56B4E9", "#000000", "#666666"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # file names may contain $
    "text.usetex": False,
}


@contextmanager
def canvas(path: Path, width: float, height: float) -> Iterator[Any]:
    """A figure of a size in inches, written when the block ends."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MotError("plots need matplotlib: pip install matplotlib") from None
    png = BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # names in scripts missing in the font
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        yield figure
        figure.savefig(png, format="png")
    write_bytes(path, png.getvalue())
