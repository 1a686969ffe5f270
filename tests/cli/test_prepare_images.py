"""`prepare` of images and labels, with a drawn source in the place of a lab's folder."""

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import types

import numpy as np
import PIL.Image
import pytest

from nucseg_jax.cli import prepare as command
from nucseg_jax.cli.next_command import Invocation, train_command
from nucseg_jax.cli.prepare import prepare
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.store import build, reader
from nucseg_jax.data.store.location import NUCLEI, dataset_folder
from nucseg_jax.data.store.workspace import scratch
from tests.conftest import ROOT
from tests.data.store.opened import INFO, draw_patch, open_drawn, with_patches

LEFT_OVER = {"nuclei", ".prepare.lock"}


def a_source(data_dir, release_dir="slides"):
    """Section `data` of a config with `data.source = folder`, all else left at its defaults."""
    return DataConfig("folder", str(release_dir), str(data_dir))


@pytest.fixture
def given(monkeypatch):
    """given(opened): makes it what `prepare` of a folder opens."""
    if importlib.util.find_spec("nucseg_jax.data.sources.contact_sheet") is None:
        sheet = types.SimpleNamespace(
            contact_sheet=lambda patches, info: np.concatenate([p.image for p in patches])
        )
        monkeypatch.setitem(sys.modules, "nucseg_jax.data.sources.contact_sheet", sheet)

    def give(opened):
        monkeypatch.setattr(
            command, "SOURCES", {"release": None, "synthetic": None, "folder": lambda _: opened}
        )

    return give


def origin(**values):
    files = [["a.png", 10, 1], ["b.png", 10, 1]]
    return {"kind": "folder", "release_dir": "/data/slides", "patch_px": 64, "files": files, **values}


def test_a_folder_is_prepared_and_the_second_time_found(given, tmp_path, capfd):
    given(open_drawn(6, origin=origin()))
    prepare(a_source(tmp_path / "data"))
    first = capfd.readouterr()
    dataset = reader.open_dataset(tmp_path / "data")
    folder = dataset_folder(tmp_path / "data", NUCLEI)
    assert {path.name for path in (tmp_path / "data").iterdir()} == LEFT_OVER
    for shown in (
        "6 drawn patches",
        "Tumour",
        "patient, 1",
        dataset.digest,
        str(folder),
        "contact_sheet.png",
    ):
        assert shown in first.out
    assert "189,744" not in first.out
    assert "PanNuke" not in first.out
    assert "\r" not in first.out + first.err
    sheet = np.asarray(PIL.Image.open(folder / "contact_sheet.png"))
    assert sheet.ndim == 3
    assert min(sheet.shape[:2]) >= 64

    prepare(a_source(tmp_path / "data"))
    second = capfd.readouterr()
    assert "Already prepared (folder in /data/slides); nothing to do." in second.out
    assert first.out.splitlines()[2:] == second.out.splitlines()[1:]
    assert second.err == ""


def test_other_settings_are_refused_with_what_differs(given, tmp_path):
    given(open_drawn(4, origin=origin()))
    prepare(a_source(tmp_path))
    for other, message in (
        (origin(patch_px=128), "patch_px is 128, and was 64"),
        (origin(remainder="drop"), "remainder is 'drop', and was None"),
        (origin(files=[["a.png", 10, 1], ["c.png", 10, 1]]), "c.png is new, b.png is gone"),
    ):
        given(open_drawn(5, origin=other))
        with pytest.raises(
            UserError, match=rf"(?s)holds another data set: folder in .*4 patches.*{message}.*remove"
        ):
            prepare(a_source(tmp_path))


def test_files_that_were_copied_are_compared_by_content_and_then_known(given, tmp_path, capfd):
    given(open_drawn(4, origin=origin()))
    prepare(a_source(tmp_path))
    copied = origin(release_dir="/elsewhere", files=[["a.png", 10, 2], ["b.png", 10, 2]])
    given(open_drawn(4, origin=copied))
    prepare(a_source(tmp_path))
    assert "Comparing the source" in capfd.readouterr().out
    prepare(a_source(tmp_path))
    assert "Comparing the source" not in capfd.readouterr().out
    reader.open_dataset(tmp_path)
    changed = with_patches(
        open_drawn(4, origin=origin()),
        lambda number, patch: dataclasses.replace(patch, image=patch.image ^ (number == 3)),
    )
    given(changed)
    with pytest.raises(UserError, match=r"The content differs\. What differs: .*a\.png was written to"):
        prepare(a_source(tmp_path))


def test_a_folder_that_was_removed_after_it_was_prepared_is_not_missed(given, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    given(open_drawn(4, origin=origin(release_dir=str(images))))
    prepare(a_source(tmp_path / "data", images))
    images.rmdir()
    given(None)
    prepare(a_source(tmp_path / "data", images))
    assert "no longer exists" in capsys.readouterr().out


def test_pannuke_and_a_folder_do_not_share_a_data_folder(given, painted, tmp_path):
    shutil.copytree(painted, tmp_path / "data")
    given(open_drawn(4))
    with pytest.raises(
        UserError, match=r"(?s)pannuke.* holds another data set: release.*Expected: folder in"
    ):
        prepare(a_source(tmp_path / "data"))
    prepare(a_source(tmp_path / "own"))
    with pytest.raises(UserError, match=r"(?s)nuclei.* holds another data set: drawn.*Expected: synthetic"):
        prepare(DataConfig("synthetic", "", str(tmp_path / "own"), 5))
    shutil.copytree(tmp_path / "own/nuclei", tmp_path / "data/nuclei")
    for read in (reader.open_dataset, lambda folder: reader.read_folds(folder, [1])):
        with pytest.raises(UserError, match=r"holds two data sets: pannuke and nuclei"):
            read(tmp_path / "data")


def test_what_deserves_a_second_look_is_named(given, tmp_path, capfd):
    """The same image twice, nuclei lighter than the rest, and a class that no nucleus has."""
    info = dataclasses.replace(INFO, patch_px=128)

    def lit(number, patch):
        again = draw_patch(number % 6, info)
        is_nucleus = again.instance > 0
        image = np.where(is_nucleus[..., None], 250, again.image).astype(np.uint8)
        return dataclasses.replace(
            again, image=image, label=np.minimum(again.label, 1), image_name=f"slide {number}.png"
        )

    given(with_patches(open_drawn(12, info), lit))
    prepare(a_source(tmp_path))
    shown = capfd.readouterr().out
    assert "6 pairs of patches of different images look the same" in shown
    assert "slide 0.png at top 0, left 0 and slide 6.png at top 0, left 0" in shown
    assert "and 1 more" in shown
    assert "No nucleus has the class Other." in shown
    assert "In 8 of 8 patches with nuclei the nuclei are not darker" in shown


def test_a_source_at_fault_in_its_last_patch_leaves_nothing(given, tmp_path):
    def fault(number, patch):
        if number == 5:
            raise UserError("slide 2.png is cut off")
        return patch

    given(with_patches(open_drawn(6), fault))
    with pytest.raises(UserError, match=r"slide 2\.png is cut off"):
        prepare(a_source(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {".prepare.lock"}


def test_a_sheet_that_cannot_be_drawn_leaves_nothing(given, tmp_path, monkeypatch):
    given(open_drawn(2))

    def fail(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(build.PIL.Image.Image, "save", fail)
    with pytest.raises(UserError, match="became full"):
        prepare(a_source(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {".prepare.lock"}


def test_two_at_once_are_refused_and_too_small_a_disk_is_named(given, tmp_path, monkeypatch):
    given(open_drawn(2))
    with scratch(tmp_path), pytest.raises(UserError, match="another `prepare` is at work"):
        prepare(a_source(tmp_path))
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(UserError, match="need about 0 MB, and the disk"):
        prepare(a_source(tmp_path))


CHILD = textwrap.dedent("""
    import pathlib, sys, types
    import numpy as np
    from nucseg_jax.data.store.build import build
    from nucseg_jax.data.store.workspace import scratch
    from tests.data.store.opened import open_drawn
    data_dir = pathlib.Path(sys.argv[1])
    with scratch(data_dir) as folder:
        build(open_drawn(4000), data_dir, folder, draw_sheet=lambda patches, info: patches[0].image)
""")


def test_killed_at_any_moment_it_starts_again(given, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / ".preparing").rglob("incomplete*")) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL
    assert list((tmp_path / ".preparing").iterdir())
    assert not (tmp_path / "nuclei").exists()
    given(open_drawn(4))
    prepare(a_source(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == LEFT_OVER
    folder = dataset_folder(tmp_path, NUCLEI)
    assert reader.stored_digest(folder) == json.loads((folder / "audit.json").read_text())["digest"]


@pytest.mark.parametrize(("folds", "added"), [(0, ""), (2, ""), (3, " --config.split.folds=0")])
def test_the_next_command_makes_each_group_a_fold_where_there_are_too_few(folds, added):
    info = DatasetInfo("ovary", groups=("patient1", "patient2"))
    command = train_command(Invocation(["--config=my.py"], 1, folds), info)
    assert command == f"python launch.py train --config=my.py{added} --workdir=runs/first"


@pytest.mark.parametrize(
    ("flags", "num_classes", "expected"),
    [
        ("--config=my.py", 1, "--config=my.py"),
        ("--config=my.py", 3, "--config=my.py"),
        ("--config=my.py", 6, "--config=my.py --config.model.num_classes=3"),
        (
            "--config my.py --config.model.num_classes 6 --config.train.lr=1e-3",
            6,
            "--config my.py --config.train.lr=1e-3 --config.model.num_classes=3",
        ),
        ("--config=my.py --config.model.num_classes=6", 6, "--config=my.py --config.model.num_classes=3"),
    ],
)
def test_the_last_line_is_the_next_command(given, tmp_path, capsys, flags, num_classes, expected):
    given(open_drawn(2))
    arguments = (*flags.split(), "--config.data.dir=a b")
    prepare(a_source(tmp_path), Invocation(arguments, num_classes))
    last = capsys.readouterr().out.splitlines()[-1]
    # What is added stands at the end.
    given_flags, _, added = expected.partition(" --config.model.num_classes=")
    more = f" --config.model.num_classes={added}" if added else ""
    command_line = f"python launch.py train {given_flags} '--config.data.dir=a b'{more} --workdir=runs/first"
    assert last.split(maxsplit=1) == ["Next:", command_line]
