"""A server on the loopback interface that gives one file, whole or cut, with a version of it or without."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator

PATH = "/models/tiny.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    """`server.cuts` takes one number a request: bytes after which the connection ends, None = not before the end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.headers.get("Range"), self.headers.get("If-Range")))
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        content, etag = self.server.content, self.server.etag
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range", etag) == etag else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : None if cut is None else start + cut])
        self.wfile.flush()
        if cut is not None and self.server.holds:
            self.server.may_end.wait(30)
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[http.server.ThreadingHTTPServer]:
    """A running server; `url` is that of its file, `requests` what it was asked, `holds` lets cut ones wait."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.etag, server.cuts, server.requests = content, '"1"', [], []
        server.holds, server.may_end = False, threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}{PATH}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.may_end.set()
            server.shutdown()
            thread.join()
