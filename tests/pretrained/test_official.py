"""The table agrees with itself and with the encoders, and its rows go through the downloader.

Whether it agrees with its sources is tested where Keras and torchvision are installed.
"""

import dataclasses
import hashlib
import http.server
import importlib.util
import pathlib
import re
import threading
import urllib.parse

import numpy as np
import pytest

from nucseg_jax.core.download import download
from nucseg_jax.core.errors import UserError
from nucseg_jax.models.build import ENCODERS
from nucseg_jax.pretrained.official import OFFICIAL_FILES

KERAS_ROWS = [name for name, file in OFFICIAL_FILES.items() if file.name.endswith(".h5")]
STAND_IN = np.random.default_rng(0).bytes(50_000)
CUT = 20_000


def test_every_encoder_has_its_file_and_no_other_has():
    assert sorted(OFFICIAL_FILES) == sorted(ENCODERS)


def test_no_two_rows_share_a_file_or_a_digest():
    for column in ("name", "url", "digest"):
        assert len({getattr(file, column) for file in OFFICIAL_FILES.values()}) == len(OFFICIAL_FILES)


@pytest.mark.parametrize("name", OFFICIAL_FILES)
def test_a_row_is_fetched_safely_and_kept_under_its_published_name(name):
    file = OFFICIAL_FILES[name]
    url = urllib.parse.urlsplit(file.url)
    assert url.scheme == "https"
    assert url.path.rsplit("/", 1)[1] == file.name
    if name in KERAS_ROWS:
        assert file.name.startswith(
            name.replace("_", "")
        )  # A row of another depth would be the likeliest slip.
        assert file.name.endswith("_notop.h5")
        assert file.algorithm == "md5"
    else:
        assert file.algorithm == "sha256"
        assert file.name == f"{name.removesuffix('_v1_5')}-{file.digest}.pth"


@pytest.mark.parametrize("name", KERAS_ROWS)
def test_rows_are_those_of_keras(name):
    """Read, not imported: that would take TensorFlow."""
    source = source_of("keras", f"src/applications/{name.split('_')[0].rstrip('0123456789')}.py")
    file = OFFICIAL_FILES[name]
    folder_url = re.search(r'BASE_WEIGHTS_PATH = \(?\s*"(.+?)"', source)[1]
    key = name.split("_")[-1]
    assert file.url == folder_url + file.name
    assert re.search(rf'"{key}": \(\s*"\w+",\s*"(\w+)",', source)[1] == file.digest


TORCHVISION_ROWS = {
    "resnet50_v1_5": ("resnet", "ResNet50_Weights", "IMAGENET1K_V2"),
    "convnext_tiny": ("convnext", "ConvNeXt_Tiny_Weights", "IMAGENET1K_V1"),
    "convnext_small": ("convnext", "ConvNeXt_Small_Weights", "IMAGENET1K_V1"),
    "convnext_base": ("convnext", "ConvNeXt_Base_Weights", "IMAGENET1K_V1"),
}


def test_every_row_has_a_framework_to_compare_with():
    assert sorted([*KERAS_ROWS, *TORCHVISION_ROWS]) == sorted(ENCODERS)


@pytest.mark.parametrize("name", TORCHVISION_ROWS)
def test_rows_are_the_defaults_of_torchvision(name):
    module, weights, version = TORCHVISION_ROWS[name]
    source = source_of("torchvision", f"models/{module}.py")
    enum = source[source.index(f"class {weights}(") :].split("\nclass ")[0]
    assert re.search(rf'{version} = Weights\(\s*url="(.+?)"', enum)[1] == OFFICIAL_FILES[name].url
    assert f"DEFAULT = {version}" in enum


def source_of(package: str, path: str) -> str:
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    return (pathlib.Path(found.origin).parent / path).read_text(encoding="utf-8")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the stand-in for any path; the first request of a server ends after `CUT` bytes."""

    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(STAND_IN) - 1}/{len(STAND_IN)}")
        self.send_header("Content-Length", str(len(STAND_IN) - start))
        self.end_headers()
        self.server.requests.append((self.path, start))
        self.wfile.write(STAND_IN[:CUT] if len(self.server.requests) == 1 else STAND_IN[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def served_by(server, name, **changes):
    """A row with this server for its host."""
    url = urllib.parse.urlsplit(OFFICIAL_FILES[name].url)
    url = url._replace(scheme="http", netloc=f"127.0.0.1:{server.server_port}")
    return dataclasses.replace(OFFICIAL_FILES[name], url=url.geturl(), **changes)


@pytest.mark.parametrize("name", ["efficientnet_b4", "resnet50_v1_5"])
def test_a_row_with_the_right_digest_is_resumed_and_kept(server, tmp_path, name):
    file = OFFICIAL_FILES[name]
    digest = hashlib.new(file.algorithm, STAND_IN).hexdigest()[: len(file.digest)]
    download([served_by(server, name, digest=digest)], tmp_path, by_hand="use a browser", first_wait_s=0.0)
    path = urllib.parse.urlsplit(file.url).path
    assert server.requests == [(path, 0), (path, CUT)]
    assert (tmp_path / file.name).read_bytes() == STAND_IN


@pytest.mark.parametrize("name", ["efficientnet_b4", "resnet50_v1_5"])
def test_another_file_in_its_place_is_never_kept_under_its_name(server, tmp_path, name):
    file = OFFICIAL_FILES[name]
    with pytest.raises(UserError, match=rf"(?s){file.name}\.wrong now.*{file.digest}\.\nWhat to do"):
        download([served_by(server, name)], tmp_path, by_hand="use a browser", first_wait_s=0.0)
    assert not (tmp_path / file.name).exists()
    assert (tmp_path / f"{file.name}.wrong").read_bytes() == STAND_IN
