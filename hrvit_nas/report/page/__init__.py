"""One self-contained page for one or several runs."""

from .build import build_page
from .live import LivePage, make_server

__all__ = ["LivePage", "build_page", "make_server"]
