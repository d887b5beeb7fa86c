"""A page for the browsers of this machine, which load its picture again when there is another one.

The page that `page.py` makes lies in a frame, and is the same as the one in a file. Above it is a bar with findings.
While these keep a file from being drawn, the last picture stays.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from lsu_onto.files import as_bytes
from lsu_onto.render.looks import RenderError
from lsu_onto.render.page import fill

_HOST = "127.0.0.1"
_HOSTS = (_HOST, "localhost")
_ALIVE_S = 15.0
"""Seconds after which a browser is written to, to see whether it is still there."""

_NOTHING = "<!DOCTYPE html><title>lsu-onto</title><p>There is no picture yet.</p>"


class _State(NamedTuple):
    """What a browser shows."""

    number: int = 0
    picture: str = ""
    """The checksum of the page. A server that is started again on a port may have another picture."""
    severity: str = ""
    status: str = ""
    findings: str = ""


class PageServer(ThreadingHTTPServer):
    """Serves one page on the loopback address, until it is closed.

    Args:
        port: 0: any that is free.

    Raises:
        RenderError: the port is in use, or not allowed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0) -> None:
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as e:
            why = "is in use" if e.errno == errno.EADDRINUSE else f"cannot be used: {e.strerror}"
            raise RenderError(f"port {port} {why}; choose another, or leave it out to use any free one") from e
        self.url = f"http://{_HOST}:{self.server_address[1]}/"
        self.picture = _NOTHING
        self.state = _State()
        self.changed = threading.Condition()
        self.ended = False
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()

    def show(self, picture: str | None, severity: str, status: str, findings: str) -> None:
        """Show a page with a status and its findings.

        Args:
            picture: the page; None: the last one.
            severity: `error`, `warning`, or empty.
            status: a line. findings: a text of many.
        """
        with self.changed:
            if picture is not None:
                self.picture = picture
            checksum = hashlib.sha256(as_bytes(self.picture)).hexdigest()
            self.state = _State(self.state.number + 1, checksum, severity, status, findings)
            self.changed.notify_all()

    def next(self, number: int) -> _State | None:
        """Wait for a state after the one that a browser has. Without one, the same after a while; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.state.number != number, _ALIVE_S)
            return None if self.ended else self.state

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may go away at any time; where there is no memory, or no file may be opened, it asks again."""
        error = sys.exception()
        if isinstance(error, (OSError, MemoryError)) or "can't start new thread" in str(error):
            if not isinstance(error, ConnectionError):
                sys.stderr.write(f"a browser got no answer: {str(error) or 'out of memory'}\n")
        elif error is not None:  # and not `socketserver`'s own print
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        path = self.path.partition("?")[0]
        if host not in _HOSTS:  # a page elsewhere, whose name is said to be of this machine, would read ours
            self._answer("This page is for browsers of this machine.", 403)
        elif path == "/":
            self._answer(fill("watch"))
        elif path == "/page":
            self._answer(self.server.picture)
        elif path == "/events":
            self._events()
        else:
            self._answer("There is no such page.", 404)

    def _answer(self, page: str, status: int = 200) -> None:
        data = as_bytes(page)
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _events(self) -> None:
        """Server-sent events: each state, the present one first."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = -1
        while state := self.server.next(number):
            new, number = state.number != number, state.number
            self.wfile.write(f"data: {json.dumps(state._asdict())}\n\n".encode() if new else b": still here\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the command prints what matters."""
