"""The page of runs that go on, served to this machine alone."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from hrvit_nas.results.store import JOURNAL_NAME
from hrvit_nas.search.layout import RunLayout

from ..figures import ReportError
from ..run import load_run
from ..section import Hint
from .build import build_page

LOCAL = "127.0.0.1"
IDLE_SHARE = 10
"""A page that took a second to make is made again after ten at the soonest."""


class PortError(ReportError):
    """A page cannot be served at a port."""


class LivePage:
    """The page of some runs, made again when one of them has gone on and somebody asks.

    Args:
        directories: Run directories.
        hints: What is added to findings; none without.
    """

    def __init__(
        self, directories: Sequence[Path], hints: Mapping[Hint, str] | None = None
    ) -> None:
        self._directories = tuple(directories)
        self._hints = hints or {}
        self._lock = Lock()
        self._version = ""
        self._content = b""
        self._due = 0.0

    def version(self) -> str:
        """What tells one state of the runs from another."""
        with self._lock:
            return self._version if time.monotonic() < self._due else self._state()

    def content(self) -> bytes:
        """The page as UTF-8.

        Raises:
            ValueError: A run cannot be read (now).
        """
        with self._lock:
            state = self._state()
            if state != self._version and time.monotonic() >= self._due:
                start = time.monotonic()
                runs = [load_run(directory) for directory in self._directories]
                self._content = build_page(runs, live=state, hints=self._hints).encode()
                self._version = state
                end = time.monotonic()
                self._due = end + IDLE_SHARE * (end - start)
            return self._content

    def _state(self) -> str:
        parts = []
        for directory in self._directories:
            for path in (directory / JOURNAL_NAME, RunLayout(directory).config):
                try:
                    found = path.stat()
                    parts.append(f"{found.st_size}.{found.st_mtime_ns}")
                except OSError:
                    parts.append("gone")
        return "-".join(parts)


def make_server(page: LivePage, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page, bound to the loopback address, not yet serving.

    It answers requests for `localhost` and 127.0.0.1 alone, so that no page of another site can
    read it through a name that points here.

    Args:
        page: What it serves, at `/`; its version, at `/version`.
        port: 0 = any that is free.

    Raises:
        PortError: The port is taken or not allowed.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = self._found()
            with suppress(ConnectionError):  # a browser may leave while it is answered
                self._answer(*answer)

        def _found(self) -> tuple[HTTPStatus, bytes, str]:
            host = (self.headers.get("Host") or "").partition(":")[0]
            if host not in (LOCAL, "localhost"):
                return HTTPStatus.FORBIDDEN, b"this page is for localhost alone\n", "text/plain"
            if self.path == "/version":
                return HTTPStatus.OK, page.version().encode(), "text/plain"
            if self.path != "/":
                return HTTPStatus.NOT_FOUND, b"there is only / here\n", "text/plain"
            try:
                return HTTPStatus.OK, page.content(), "text/html"
            except (ValueError, OSError) as error:
                # The fault may pass, such as a disk that is away: the browser asks again.
                line = html.escape(" ".join(str(error).split()))
                body = f'<meta charset="utf-8"><meta http-equiv="refresh" content="5"><p>{line}'
                return HTTPStatus.SERVICE_UNAVAILABLE, body.encode(), "text/html"

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a page that refreshes would fill the terminal."""

    try:
        return ThreadingHTTPServer((LOCAL, port), Handler)
    except (OSError, OverflowError) as error:
        raise PortError(f"cannot serve on port {port}: {error}") from error
