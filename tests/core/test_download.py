"""Against a real HTTP server on the loopback interface that behaves well, badly, or not at all."""

import hashlib
import http.server
import re
import threading

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.pannuke import download
from nucseg_jax.data.pannuke.facts import Archive

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; `server.faults` takes one entry a request: None, a status, or bytes to cut after."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        fault = self.server.faults.pop(0) if self.server.faults else None
        content, start = self.server.content, 0
        if fault in (404, 500, 503):
            self.send_error(fault)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.server.has_ranges:
            start = int(asked[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(self.server.claimed_bytes or len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:] if fault is None else content[start : start + fault])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.faults, server.requests = CONTENT, [], []
        server.has_ranges, server.claimed_bytes = True, None
        server.archive = Archive(1, f"http://127.0.0.1:{server.server_port}/fold_1.zip", SHA256)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, folder, **options):
    download.download([server.archive], folder, first_wait_s=0.0, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_archive_is_fetched_once(server, tmp_path):
    fetch(server, tmp_path / "new" / "folder")
    assert (tmp_path / "new/folder/fold_1.zip").read_bytes() == CONTENT
    fetch(server, tmp_path / "new" / "folder")
    assert server.requests == [None]
    assert names(tmp_path / "new/folder") == ["fold_1.zip"]


def test_cut_connections_are_taken_up_where_they_stopped(server, tmp_path):
    server.faults = [100_000, 0, 50_000, 503, 1]
    fetch(server, tmp_path)
    assert (tmp_path / "fold_1.zip").read_bytes() == CONTENT
    starts = [0, 100_000, 100_000, 150_000, 150_000, 150_001]
    assert server.requests == [None] + [f"bytes={start}-" for start in starts[1:]]


def test_an_earlier_run_is_resumed(server, tmp_path):
    (tmp_path / "fold_1.zip.part").write_bytes(CONTENT[:200_000])
    fetch(server, tmp_path)
    assert (tmp_path / "fold_1.zip").read_bytes() == CONTENT
    assert server.requests == ["bytes=200000-"]


def test_a_whole_part_needs_no_byte(server, tmp_path):
    (tmp_path / "fold_1.zip.part").write_bytes(CONTENT)
    fetch(server, tmp_path)
    assert names(tmp_path) == ["fold_1.zip"]
    assert server.requests == ["bytes=300000-"]


def test_without_range_support_it_starts_over(server, tmp_path):
    server.has_ranges = False
    server.faults = [100_000]
    (tmp_path / "fold_1.zip.part").write_bytes(b"x" * 250_000)
    fetch(server, tmp_path)
    assert (tmp_path / "fold_1.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"y" * 1000, b"y" * 300_000, b"y" * 300_001])
def test_a_part_of_another_file_is_replaced(server, tmp_path, stale):
    (tmp_path / "fold_1.zip.part").write_bytes(stale)
    fetch(server, tmp_path)
    assert (tmp_path / "fold_1.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_sets_the_file_aside_and_the_next_run_starts_anew(server, tmp_path):
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(UserError, match=rf"(?s){found}.*Expected: SHA-256 {SHA256}.*What to do"):
        fetch(server, tmp_path)
    assert names(tmp_path) == ["fold_1.zip.wrong"]
    server.content = CONTENT
    fetch(server, tmp_path)
    assert (tmp_path / "fold_1.zip").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked_too(server, tmp_path):
    (tmp_path / "fold_1.zip").write_bytes(b"not it")
    with pytest.raises(UserError, match="SHA-256"):
        fetch(server, tmp_path)
    assert server.requests == []
    assert names(tmp_path) == ["fold_1.zip.wrong"]


def test_it_gives_up_after_a_bounded_number_of_attempts_without_a_byte_and_keeps_what_came(server, tmp_path):
    server.faults = [1000] + [0] * 50
    with pytest.raises(UserError, match=r"(?s)3 attempts without a new byte.*release_dir"):
        fetch(server, tmp_path, idle_attempts=3)
    assert len(server.requests) == 4
    assert (tmp_path / "fold_1.zip.part").read_bytes() == CONTENT[:1000]


def test_a_refusal_is_final(server, tmp_path):
    server.faults = [404]
    with pytest.raises(UserError, match="answered 404"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    archive = Archive(1, f"http://127.0.0.1:{port}/fold_1.zip", SHA256)
    with pytest.raises(UserError, match="Connection refused"):
        download.download([archive], tmp_path, idle_attempts=2, first_wait_s=0.0)


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_fetched(server, tmp_path):
    server.claimed_bytes = 10**15
    with pytest.raises(
        UserError, match=r"(?s)disk .* is full: 1,000,000,000,000,000 bytes .*free some space"
    ):
        fetch(server, tmp_path)
    assert names(tmp_path) == []
