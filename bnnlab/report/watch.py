"""Serve a report on the loopback address while a sweep runs; the page reloads itself when there is news."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELOAD = """<script>
(() => {
  let known = null;
  const look = () => fetch("digest").then((answer) => answer.text()).then((digest) => {
    if (known !== null && digest !== known) location.reload();
    known = digest;
  }).catch(() => {});
  look();
  setInterval(look, 3000);
})();
</script>"""


class ReportServer:
    """A page made anew at most every few seconds, served on 127.0.0.1 only."""

    def __init__(self, make_page: Callable[[str], str], *, port: int = 0, interval_s: float = 5.0) -> None:
        """
        Args:
            make_page: the page, with the given script in it (`Report.html`).
            port: 0 for any free one.
            interval_s: a page younger than this is served as it is.
        """
        self._make_page = make_page
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._page = b""
        self._made_at = float("-inf")
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path not in ("/", "/digest"):
                    self.send_error(404)
                    return
                try:
                    page = server.page()
                except Exception as error:  # a ledger that is being written must not end the server
                    self.send_error(503, explain=str(error))
                    return
                body = page if self.path == "/" else hashlib.sha256(page).hexdigest().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8" if self.path == "/" else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A line a request would drown the sweep's own lines."""

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/"

    def page(self) -> bytes:
        """The page as it is now."""
        with self._lock:
            if time.monotonic() - self._made_at >= self._interval_s:
                self._page = self._make_page(RELOAD).encode()
                self._made_at = time.monotonic()
            return self._page

    def serve(self) -> None:
        """Serve until `close`, or until interrupted."""
        self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._http.shutdown()
        self._http.server_close()
