import functools
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile

import numpy as np
import pytest
from tensorflow_datasets.core import shuffle

from nucseg_jax.cli.prepare import prepare
from nucseg_jax.config import config_fields, default_config
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.download import RemoteFile
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import build, facts, synthetic
from nucseg_jax.data.store import reader
from nucseg_jax.data.store.location import dataset_folder
from nucseg_jax.data.store.workspace import scratch
from nucseg_jax.experiment import read_experiment

LEFT_OVER = {"pannuke", ".prepare.lock"}
SMALLEST = config_fields()["data.synthetic_patches_per_fold"].range.at_least


@pytest.fixture(scope="module")
def drawn_release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "release"
    synthetic.write_release(folder, patches_per_fold=SMALLEST, seed=0)
    return folder


@pytest.fixture
def release_dir(drawn_release, tmp_path):
    """A copy that a test may change; files are shared with the original until they are replaced."""
    return pathlib.Path(shutil.copytree(drawn_release, tmp_path / "release", copy_function=os.link))


def from_release(release_dir, data_dir):
    return DataConfig("release", str(release_dir), str(data_dir))


def from_synthetic(data_dir, seed=0):
    return DataConfig("synthetic", "", str(data_dir), SMALLEST, seed)


def unshared(path):
    """Gives a linked file a content of its own."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def test_a_release_is_prepared_and_the_second_time_found(release_dir, tmp_path, capfd):
    prepare(from_release(release_dir, tmp_path / "data"))
    first = capfd.readouterr()
    assert "Preparing patches: release in" in first.out
    assert "189,744" in first.out
    assert str(dataset_folder(tmp_path / "data")) in first.out
    assert "launch.py train --config=" in first.out
    assert "%" not in first.err
    assert {path.name for path in (tmp_path / "data").iterdir()} == LEFT_OVER
    digest = reader.open_dataset(tmp_path / "data").digest
    assert digest in first.out

    prepare(from_release(release_dir, tmp_path / "data"))
    second = capfd.readouterr()
    assert "Already prepared" in second.out
    assert first.out.splitlines()[2:] == second.out.splitlines()[2:]
    assert second.err == ""  # Not a patch was read.


def test_synthetic_is_the_release_that_is_drawn_and_leaves_only_the_data_set(release_dir, tmp_path, capsys):
    prepare(from_synthetic(tmp_path / "a"))
    prepare(from_release(release_dir, tmp_path / "b"))
    assert reader.open_dataset(tmp_path / "a").digest == reader.open_dataset(tmp_path / "b").digest
    assert {path.name for path in (tmp_path / "a").iterdir()} == LEFT_OVER
    prepare(from_synthetic(tmp_path / "a"))
    assert "Already prepared (synthetic, 5 patches a fold, seed 0)" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"(?s)holds another data set: synthetic.*seed 0.*Expected: .*seed 1"):
        prepare(from_synthetic(tmp_path / "a", seed=1))


def test_a_fold_of_more_records_than_tfds_keeps_in_memory_needs_no_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1 << 20)
    prepare(from_synthetic(tmp_path / "data"))
    assert reader.open_dataset(tmp_path / "data").index.fold_sizes == dict.fromkeys((1, 2, 3), SMALLEST)
    monkeypatch.setattr(build, "available_host_bytes", lambda: 10**5)
    with pytest.raises(UserError, match="MB of memory while it is written"):
        prepare(from_synthetic(tmp_path / "other"))


def test_the_smallest_synthetic_set_is_the_one_with_every_trap(tmp_path):
    assert len(synthetic.TRAPS) == SMALLEST
    config = default_config()
    config["data"] |= {"source": "synthetic", "synthetic_patches_per_fold": SMALLEST - 1}
    with pytest.raises(UserError, match="at least 5"):
        read_experiment(config)


def test_the_traps_of_the_release_are_in_the_audit(release_dir, tmp_path):
    prepare(from_release(release_dir, tmp_path / "data"))
    audit = json.loads((dataset_folder(tmp_path / "data") / "audit.json").read_text())
    for fold in audit["folds"].values():
        for trap in ("empty_patches", "void_patches", "overlap_patches", "hidden_nuclei"):
            assert fold[trap] >= 1
        assert fold["largest_id"] > 255


def test_a_moved_release_is_compared_by_content_and_then_known(release_dir, tmp_path, capfd):
    prepare(from_release(release_dir, tmp_path / "data"))
    moved = release_dir.rename(tmp_path / "moved")
    prepare(from_release(moved, tmp_path / "data"))
    assert "%" not in capfd.readouterr().err
    prepare(from_release(moved, tmp_path / "data"))
    assert capfd.readouterr().err == ""


def test_a_changed_release_is_another_data_set_even_at_the_same_size(release_dir, tmp_path):
    prepare(from_release(release_dir, tmp_path / "data"))
    path = unshared(release_dir / "Fold 2/images/fold2/images.npy")
    content = bytearray(path.read_bytes())
    content[-8:] = bytes(8) if any(content[-8:]) else b"\0\0\0\0\0\0\x59\x40"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"(?s)The content of fold 2 differs\..*another --config.data.dir"):
        prepare(from_release(release_dir, tmp_path / "data"))


def test_a_release_removed_after_it_was_prepared_is_not_missed(release_dir, tmp_path, capsys):
    prepare(from_release(release_dir, tmp_path / "data"))
    shutil.rmtree(release_dir)
    prepare(from_release(release_dir, tmp_path / "data"))
    assert "no longer exists" in capsys.readouterr().out


def test_a_release_that_is_nowhere_makes_no_data_folder(tmp_path):
    with pytest.raises(UserError, match="nowhere is not there"):
        prepare(from_release(tmp_path / "nowhere", tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_another_source_is_refused_without_a_download(release_dir, tmp_path):
    prepare(from_release(release_dir, tmp_path / "data"))
    with pytest.raises(UserError, match=r"(?s)holds another data set: release.*Expected: download"):
        prepare(DataConfig("download", dir=str(tmp_path / "data")))


def test_archives_with_a_wrong_checksum_are_never_read(tmp_path, capsys):
    downloads = tmp_path / "data/downloads"
    downloads.mkdir(parents=True)
    (downloads / "fold_1.zip").write_bytes(b"not the archive")
    with pytest.raises(
        UserError,
        match=rf"(?s)fold_1\.zip .*Expected: SHA-256 {facts.ARCHIVES[0].digest}\.\n.*in a browser and use"
        r" --config\.data\.source=release --config\.data\.release_dir=FOLDER",
    ):
        prepare(DataConfig("download", dir=str(tmp_path / "data")))
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().out
    assert not (tmp_path / "data/pannuke").exists()


def test_archives_are_downloaded_checked_and_prepared(release_dir, tmp_path, monkeypatch, capfd):
    """From a server on the loopback interface that serves the drawn release as the three archives."""
    served = tmp_path / "served"
    served.mkdir()
    for fold in (1, 2, 3):
        with zipfile.ZipFile(
            served / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            for path in sorted((release_dir / f"Fold {fold}").rglob("*.npy")):
                archive.write(path, path.relative_to(release_dir))
    handler = functools.partial(QuietFiles, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        archives = tuple(
            RemoteFile(
                f"fold_{fold}.zip",
                f"http://127.0.0.1:{server.server_port}/fold_{fold}.zip",
                "sha256",
                hashlib.sha256((served / f"fold_{fold}.zip").read_bytes()).hexdigest(),
            )
            for fold in (1, 2, 3)
        )
        monkeypatch.setattr(facts, "ARCHIVES", archives)
        # What else lies there was not compared with a digest, and is not read.
        altered = tmp_path / "data/downloads/Fold 1/images/fold1/images.npy"
        altered.parent.mkdir(parents=True)
        np.save(altered, np.zeros((SMALLEST, 256, 256, 3)))
        source = DataConfig("download", dir=str(tmp_path / "data"))
        prepare(source)
        server.shutdown()
        thread.join()
    shown = capfd.readouterr()
    assert "CC BY-NC-SA 4.0" in shown.out
    assert "%" not in shown.err
    prepare(source)  # Needs no server.
    assert "Already prepared (download of the official archives)" in capfd.readouterr().out
    prepare(
        from_release(release_dir, tmp_path / "data")
    )  # The same content from elsewhere is the same data set.
    assert reader.open_dataset(tmp_path / "data").index.fold_sizes == dict.fromkeys((1, 2, 3), SMALLEST)


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("name", ["images", "masks", "types"])
def test_a_fault_in_the_last_fold_leaves_nothing(release_dir, tmp_path, name):
    path = unshared(next(release_dir.rglob(f"fold3/{name}.npy")))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(
        UserError, match=rf"(?s){name}\.npy is .* shorter than its header states.*Expected.*What to do"
    ):
        prepare(from_release(release_dir, tmp_path / "data"))
    assert {path.name for path in (tmp_path / "data").iterdir()} <= LEFT_OVER - {"pannuke"}


def test_a_source_without_its_folder_or_of_no_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.release_dir is empty"):
        prepare(DataConfig("release", "", str(tmp_path)))
    config = default_config()
    config["data"]["source"] = "web"
    with pytest.raises(UserError, match="download, release, synthetic"):
        read_experiment(config)


def test_two_at_once_are_refused_and_the_folder_is_free_afterwards(release_dir, tmp_path):
    with (
        scratch(tmp_path / "data"),
        pytest.raises(UserError, match="another `prepare` is at work"),
    ):
        prepare(from_release(release_dir, tmp_path / "data"))
    prepare(from_release(release_dir, tmp_path / "data"))


def test_what_a_killed_process_left_is_removed_before_anything_is_built(release_dir, tmp_path):
    """A data set that was whole but not yet moved must not be taken for the one that is asked for."""
    prepare(from_synthetic(tmp_path / "data", seed=1))
    (tmp_path / "data/.preparing").mkdir()
    (tmp_path / "data/pannuke").rename(tmp_path / "data/.preparing/pannuke")
    prepare(from_release(release_dir, tmp_path / "data"))
    prepare(from_release(release_dir, tmp_path / "other"))
    assert reader.open_dataset(tmp_path / "data").digest == reader.open_dataset(tmp_path / "other").digest


def test_a_data_folder_that_cannot_be_made_is_named(release_dir, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        prepare(from_release(release_dir, tmp_path / "file" / "data"))


CHILD = textwrap.dedent("""
    import pathlib, sys
    from nucseg_jax.cli.prepare import prepare
    from nucseg_jax.core.errors import UserError
    from nucseg_jax.config import config_fields, default_config
    from nucseg_jax.config.data import DataConfig
    try:
        prepare(DataConfig("release", sys.argv[1], sys.argv[2]))
    except UserError as error:
        sys.exit(f"UserError: {error}")
""")


def test_killed_at_any_moment_it_starts_again(release_dir, tmp_path):
    data_dir = tmp_path / "data"
    command = [sys.executable, "-c", CHILD, release_dir, data_dir]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((data_dir / ".preparing").rglob("*array_record*")) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    if child.returncode == 0:
        pytest.skip("it had ended before it was killed")
    assert list((data_dir / ".preparing").iterdir())
    assert not (data_dir / "pannuke").exists()
    prepare(from_release(release_dir, data_dir))
    assert {path.name for path in data_dir.iterdir()} == LEFT_OVER
    assert reader.stored_digest(dataset_folder(data_dir)) == reader.open_dataset(data_dir).digest


@pytest.mark.parametrize(
    ("source", "free_mib", "first_lines", "message"),
    [
        ("release", 1, "", "need about 3 MB"),
        # As if another program filled the disk after it was found large enough.
        (
            "release",
            1,
            "from nucseg_jax.data.sources.pannuke import build; build._BYTES_PER_PATCH = 0",
            "became full",
        ),
        ("synthetic", 10, "", "became full"),
    ],
    ids=["too small from the start", "full while records are written", "full while the release is drawn"],
)
def test_a_full_disk_is_an_error_of_the_user_and_leaves_nothing(
    release_dir, tmp_path, source, free_mib, first_lines, message
):
    (tmp_path / "data").mkdir()
    mounted = f"mount -t tmpfs -o size={free_mib}m none {tmp_path}/data"
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine does not let a test mount a disk")
    script = f'{mounted} && ("$@"; echo "rc $?"; find {tmp_path}/data -type f)'
    program = first_lines + CHILD.replace('"release"', repr(source))
    child = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            script,
            "sh",
            sys.executable,
            "-c",
            program,
            release_dir,
            tmp_path / "data",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.split("rc 1")[1].split() == [f"{tmp_path}/data/.prepare.lock"]
    assert message in child.stderr.partition("UserError: ")[2]
    assert "free some space" in child.stderr
