"""One self-contained page for one or several runs."""

from .build import build_page
from .live import LivePage, PortError, make_server

__all__ = ["LivePage", "PortError", "build_page", "make_server"]
