"""Against a real HTTP server on the loopback interface that behaves well, badly, or not at all."""

import hashlib
import http.server
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from nucseg_jax.core import download
from nucseg_jax.core.download import RemoteFile
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.lock import file_lock

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
# What publishers give (algorithm, digest), and how a message puts it.
PUBLISHED = {
    "md5": ("md5", MD5, f"MD5 {MD5}."),
    "sha256": ("sha256", SHA256, f"SHA-256 {SHA256}."),
    "sha256 prefix": ("sha256", SHA256[:8], f"a SHA-256 that begins with {SHA256[:8]}."),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; `server.faults` takes one entry a request.

    It is None, a status, a number of bytes to cut after, or "silence": that comes after the first thousand.
    """

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
        sent_bytes = {None: len(content), "silence": 1000}.get(fault, fault)
        self.wfile.write(content[start : start + sent_bytes])
        if fault == "silence":
            self.server.may_end.wait(30)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.faults, server.requests = CONTENT, [], []
        server.has_ranges, server.claimed_bytes, server.may_end = True, None, threading.Event()
        server.file = remote_file(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.may_end.set()
        server.shutdown()
        thread.join()


def remote_file(server, algorithm="sha256", digest=SHA256):
    return RemoteFile("weights.h5", f"http://127.0.0.1:{server.server_port}/weights.h5", algorithm, digest)


def fetch(server, folder, **options):
    download.download([server.file], folder, by_hand="use a browser", first_wait_s=0.0, **options)


def names(folder):
    """All but the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".weights.h5.lock")


CHILD = textwrap.dedent("""
    import pathlib, sys
    from nucseg_jax.core.download import RemoteFile, download
    download([RemoteFile(*sys.argv[2:])], pathlib.Path(sys.argv[1]), by_hand="use a browser")
""")


def child_command(server, folder, before=""):
    file = server.file
    return [sys.executable, "-c", before + CHILD, folder, file.name, file.url, file.algorithm, file.digest]


@pytest.mark.parametrize("published", PUBLISHED)
def test_a_file_is_fetched_once(server, tmp_path, published):
    server.file = remote_file(server, *PUBLISHED[published][:2])
    fetch(server, tmp_path / "new" / "folder")
    assert (tmp_path / "new/folder/weights.h5").read_bytes() == CONTENT
    fetch(server, tmp_path / "new" / "folder")
    assert server.requests == [None]
    assert names(tmp_path / "new/folder") == ["weights.h5"]


def test_cut_connections_are_taken_up_where_they_stopped(server, tmp_path):
    server.faults = [100_000, 0, 50_000, 503, 1]
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    starts = [0, 100_000, 100_000, 150_000, 150_000, 150_001]
    assert server.requests == [None] + [f"bytes={start}-" for start in starts[1:]]


def test_silence_ends_an_attempt(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_SILENCE_LIMIT_S", 0.2)
    server.faults = ["silence"]
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000-"]


def test_an_earlier_run_is_resumed(server, tmp_path):
    (tmp_path / "weights.h5.part").write_bytes(CONTENT[:200_000])
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == ["bytes=200000-"]


def test_a_run_that_was_killed_leaves_a_part_that_the_next_one_takes_up(server, tmp_path):
    server.faults = ["silence"]
    child = subprocess.Popen(child_command(server, tmp_path), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "weights.h5.part").exists():
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert names(tmp_path) == ["weights.h5.part"]
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_a_whole_part_needs_no_byte(server, tmp_path):
    (tmp_path / "weights.h5.part").write_bytes(CONTENT)
    fetch(server, tmp_path)
    assert names(tmp_path) == ["weights.h5"]
    assert server.requests == ["bytes=300000-"]


def test_without_range_support_it_starts_over(server, tmp_path):
    server.has_ranges = False
    server.faults = [100_000]
    (tmp_path / "weights.h5.part").write_bytes(b"x" * 250_000)
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("published", PUBLISHED)
@pytest.mark.parametrize("stale", [b"y" * 1000, b"y" * 300_000, b"y" * 300_001])
def test_a_part_of_another_file_is_replaced(server, tmp_path, stale, published):
    server.file = remote_file(server, *PUBLISHED[published][:2])
    (tmp_path / "weights.h5.part").write_bytes(stale)
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("published", PUBLISHED)
def test_a_wrong_digest_sets_the_file_aside_and_the_next_run_starts_again(server, tmp_path, published):
    algorithm, digest, expected = PUBLISHED[published]
    server.file = remote_file(server, algorithm, digest)
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    found = hashlib.new(algorithm, server.content).hexdigest()
    with pytest.raises(UserError, match=rf"(?s){found}.*Expected: {expected}\nWhat to do.*use a browser"):
        fetch(server, tmp_path)
    assert names(tmp_path) == ["weights.h5.wrong"]
    server.content = CONTENT
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked_too(server, tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"not it")
    with pytest.raises(UserError, match="SHA-256"):
        fetch(server, tmp_path)
    assert server.requests == []
    assert names(tmp_path) == ["weights.h5.wrong"]


def test_it_gives_up_after_a_bounded_number_of_attempts_without_a_byte_and_keeps_what_came(server, tmp_path):
    server.faults = [1000] + [0] * 50
    with pytest.raises(
        UserError, match=r"(?s)3 attempts without a new byte.*resumes from .*weights\.h5\.part; or use a brow"
    ):
        fetch(server, tmp_path, idle_attempts=3)
    assert len(server.requests) == 4
    assert (tmp_path / "weights.h5.part").read_bytes() == CONTENT[:1000]


def test_a_refusal_is_final(server, tmp_path):
    server.faults = [404]
    with pytest.raises(UserError, match=r"(?s)answered 404.*Expected: the archive\.\nWhat to do: use a brow"):
        fetch(server, tmp_path, noun="archive")
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named_and_nothing_is_said_of_a_part(server, tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        server.file = remote_file(closed)
    with pytest.raises(
        UserError, match=r"(?s)Connection refused.*2 attempts.*try again later; or use a brow"
    ):
        fetch(server, tmp_path, idle_attempts=2)


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(server, tmp_path):
    server.claimed_bytes = 10**15
    with pytest.raises(
        UserError,
        match=r"(?s)disk .* is full: 1,000,000,000,000,000 bytes .*Expected: room for the archive.*"
        r"free some space, or choose another --out, and rerun the same command",
    ):
        fetch(server, tmp_path, noun="archive", elsewhere="choose another --out")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_came(server, tmp_path):
    """A limit on the size of a file stands for the disk."""
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    )
    child = subprocess.run(child_command(server, tmp_path, limit), capture_output=True, text=True, timeout=60)
    assert "UserError: The disk of" in child.stderr
    assert "100,000 bytes of http" in child.stderr
    assert (tmp_path / "weights.h5.part").read_bytes() == CONTENT[:100_000]
    fetch(server, tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=100000-"]


def test_a_folder_that_cannot_be_used_is_named_without_asking_the_server(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"(?s)folder cannot be used: Not a directory.*choose another folder"):
        fetch(server, tmp_path / "file" / "folder")
    (tmp_path / "weights.h5").mkdir()
    with pytest.raises(UserError, match=r"weights\.h5 cannot be used: Is a directory"):
        fetch(server, tmp_path)
    assert server.requests == []


def test_a_part_that_cannot_be_written_is_not_taken_for_a_broken_connection(server, tmp_path):
    (tmp_path / "weights.h5.part").symlink_to(tmp_path / "gone" / "part")
    with pytest.raises(UserError, match=r"weights\.h5\.part cannot be used: weights\.h5\.part is a link"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_two_at_once_are_refused_for_they_would_spoil_the_part(server, tmp_path):
    with (
        file_lock(tmp_path / ".weights.h5.lock", busy="", advice=""),
        pytest.raises(UserError, match=r"(?s)another process is downloading .*wait until it has ended"),
    ):
        fetch(server, tmp_path)
    assert server.requests == []
    fetch(server, tmp_path)
    assert names(tmp_path) == ["weights.h5"]


@pytest.mark.parametrize(
    ("name", "algorithm", "digest", "fault"),
    [
        ("weights.h5", "crc32", "0" * 8, "algorithm is 'crc32'"),
        ("weights.h5", "md5", MD5[:8], "is not 32 to 32"),
        ("weights.h5", "sha256", SHA256[:7], "is not 8 to 64"),
        ("weights.h5", "sha256", SHA256 + "0", "is not 8 to 64"),
        ("weights.h5", "sha256", SHA256.upper(), "lower-case"),
        ("../weights.h5", "md5", MD5, "not the name of a file"),
        ("", "md5", MD5, "not the name of a file"),
    ],
)
def test_a_row_with_a_slip_cannot_be_made(name, algorithm, digest, fault):
    with pytest.raises(ValueError, match=fault):
        RemoteFile(name, "http://127.0.0.1/", algorithm, digest)
