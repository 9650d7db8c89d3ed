"""Files that figures are written to; matplotlib is imported on demand."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.results import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

# Ink, and blue and vermilion of Okabe and Ito's palette, which differ in lightness as well.
INK, GREY, FAINT = "#222222", "#6b6b6b", "#a9b4be"
BLUE, VERMILION = "#0b4f8a", "#c04e00"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def one_line(text: str, length: int) -> str:
    """A text of a user's as a figure can hold it: one line, not too long, nothing that no XML may.

    Args:
        text: The text.
        length: Characters that it may have.
    """
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


class ReportError(ValueError):
    """A report cannot be made; the message says what is missing or what is allowed."""


def save_figure(
    draw: Callable[[Figure], None], path: str | Path, size: tuple[float, float]
) -> None:
    """Makes a figure, has it drawn and writes it.

    Args:
        draw: Draws on the empty figure.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.
        size: Width and height, in inches.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        allowed = ", ".join(f".{name}" for name in FORMATS)
        raise ReportError(f"a figure's file must end in {allowed}; got {path.name!r}")
    with replacing(path) as temporary:
        temporary.write_bytes(figure_bytes(draw, kind, size))


def figure_bytes(draw: Callable[[Figure], None], kind: str, size: tuple[float, float]) -> bytes:
    """Makes a figure, has it drawn and returns the file's content.

    Args:
        draw: Draws on the empty figure.
        kind: One of `FORMATS`.
        size: Width and height, in inches.
    """
    # Matplotlib takes half a second to import, which readers of tables need not wait for.
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=300, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    # Type 42 fonts stay text in a PDF, which publishers ask for; no date keeps files equal.
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    file = BytesIO()
    with (
        matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        if kind == "svg":  # its texts are drawn by who shows it, with fonts of their own
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()
