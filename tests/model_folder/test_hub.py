"""Models by hf://, by the hub's own library from a local server; skipped without the extra `hub`."""

import hashlib
import http.server
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.model_folder.named import models_folder
from tests.conftest import ROOT

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (extra hub)")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE = """
import sys
from nucseg_jax.core.errors import UserError
from nucseg_jax.model_folder.named import find_model
try:
    print(find_model(sys.argv[1]).path)
except UserError as error:
    sys.exit(f"refused: {error}")
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """The one file of the hub's interface that a download needs; `server.cut` is where the next answer ends."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if self._answer(start):
            cut, self.server.cut = self.server.cut, None
            self.wfile.write(self.server.content[start : None if cut is None else start + cut])
            self.close_connection = cut is not None

    def _answer(self, start: int = 0) -> bool:
        known = [f"/me/nuclei/resolve/{revision}/models/tiny.zip" for revision in ("main", "v1", COMMIT)]
        if self.path.partition("?")[0] not in known:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        content = self.server.content
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        return True

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    read_model_folder(models_folder() / "small").pack(tmp_path / "tiny.zip")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.content, server.cut, server.ranges = (tmp_path / "tiny.zip").read_bytes(), None, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def find(hub, tmp_path, url: str, **environment: str) -> subprocess.CompletedProcess:
    """In a process of its own: the library reads its environment when it is imported."""
    own = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", CODE, url],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", **own},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_file_of_the_hub_is_the_packed_model_and_is_kept(hub, tmp_path):
    hub.cut = len(hub.content) // 2
    done = find(hub, tmp_path, "hf://me/nuclei/models/tiny.zip@v1")
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert pathlib.Path(path).read_bytes() == hub.content
    sha256 = hashlib.sha256(hub.content).hexdigest()
    assert f"add #sha256={sha256}" in done.stderr
    fetched = len(hub.ranges)
    assert fetched > 1  # It goes on after a connection that was cut, in its own way.
    for url in (
        f"hf://me/nuclei/models/tiny.zip@v1#sha256={sha256}",
        f"hf://me/nuclei/models/tiny.zip@{COMMIT}",
    ):
        again = find(hub, tmp_path, url, HF_HUB_OFFLINE="1")
        assert (again.stdout.strip(), again.stderr) == (path, "")
    assert len(hub.ranges) == fetched


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hf://me/nuclei/models/none.zip", "could not be downloaded"),
        (f"hf://me/nuclei/models/tiny.zip@v1#sha256={'0' * 64}", "has the SHA-256"),
    ],
)
def test_what_is_not_there_and_another_digest_are_one_error(hub, tmp_path, url, message):
    done = find(hub, tmp_path, url)
    assert done.returncode == 1
    assert done.stderr.count("refused: ") == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
