import functools
import hashlib
import http.server
import pathlib
import shutil
import threading

import pytest

from nucseg_jax.cli.convert import convert
from nucseg_jax.core.download import RemoteFile
from nucseg_jax.core.errors import UserError
from nucseg_jax.models.build import build_encoder
from nucseg_jax.pretrained import official
from nucseg_jax.pretrained.load import load_encoder


@pytest.fixture
def weights(shared) -> pathlib.Path:
    """The real ImageNet weights of ResNet-50, conv1 to conv4."""
    return shared / "weights" / "resnet50_keras_imagenet_conv1_to_conv4.npz"


def test_real_weights_are_converted_accounted_for_and_found_the_second_time(weights, tmp_path, capsys):
    out = tmp_path / "imagenet"
    convert("resnet50", str(weights), out)
    first = capsys.readouterr().out
    for text in (
        "resnet50_keras_imagenet_conv1_to_conv4.npz",
        "8,589,184 values in 258 arrays",
        "BGR / 1, mean (103.9, 116.8, 123.7)",
        "layers of conv5 (20), decoder and head: always",
        f"train --config=unet_resnet50 --config.pretrained.path={out} --workdir=runs/first",
    ):
        assert text in first
    loaded = load_encoder(out, "resnet50", build_encoder("resnet50", extent="cut"))
    assert "8,589,184 values from resnet50_keras" in loaded.summary

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    convert("resnet50", str(weights), out)
    second = capsys.readouterr().out
    assert "already converted from this source; nothing to do" in second
    assert second.endswith(first)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_what_is_asked_for_wrongly_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"(?s)--encoder is 'resnet18'.*resnet50_v1_5"):
        convert("resnet18", "download", tmp_path / "out")
    with pytest.raises(UserError, match=r"(?s)nowhere\.h5, which does not exist.*`download`"):
        convert("resnet50", str(tmp_path / "nowhere.h5"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_download_is_checked_converted_and_not_repeated(weights, tmp_path, monkeypatch, capfd):
    """From a server on the loopback interface that has the real weights under the official name."""
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(weights, served / "official.npz")
    handler = functools.partial(QuietFiles, directory=served)
    out = tmp_path / "to" / "imagenet"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        remote = RemoteFile(
            "official.npz", f"http://127.0.0.1:{server.server_port}/official.npz", "sha256", digest
        )
        monkeypatch.setattr(official, "OFFICIAL_FILES", {"resnet50": remote})
        convert("resnet50", "download", out)
        server.shutdown()
        thread.join()
    assert "8,589,184 values" in capfd.readouterr().out
    assert (tmp_path / "to" / "downloads" / "official.npz").exists()
    shutil.rmtree(tmp_path / "to" / "downloads")
    convert("resnet50", "download", out)  # Needs neither server nor file.
    assert "already converted" in capfd.readouterr().out
    moved = RemoteFile("b.npz", "http://x/b.npz", "sha256", digest)
    monkeypatch.setattr(official, "OFFICIAL_FILES", {"resnet50": moved})
    with pytest.raises(UserError, match="another conversion"):
        convert("resnet50", "download", out)


def test_without_pytorch_its_official_file_is_not_even_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        convert("resnet50_v1_5", "download", tmp_path / "out")
    assert not list(tmp_path.iterdir())


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
