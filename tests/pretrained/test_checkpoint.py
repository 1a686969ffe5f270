"""The folder that `convert` writes: whole or not at all, and believed only as far as its digest."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.lock import file_lock
from nucseg_jax.models.preprocessing import IMAGENET
from nucseg_jax.pretrained.checkpoint import digest_of
from nucseg_jax.pretrained.convert import convert, converted_before
from nucseg_jax.pretrained.load import load_encoder


@pytest.fixture
def converted(resnet, tmp_path):
    resnet.write_npz(tmp_path / "net.npz")
    convert(resnet.target, tmp_path / "net.npz", tmp_path / "out")
    return tmp_path / "out"


def test_only_the_folder_and_a_lock_appear(converted):
    assert {path.name for path in converted.parent.iterdir()} == {"net.npz", "out", ".out.lock"}
    assert {path.name for path in converted.iterdir()} == {"encoder", "report.json"}


def test_the_same_source_gives_the_same_report(resnet, converted):
    convert(resnet.target, converted.parent / "net.npz", converted.parent / "again")
    first, second = (
        (folder / "report.json").read_text() for folder in (converted, converted.parent / "again")
    )
    assert first == second


def test_an_empty_folder_is_filled_and_parents_are_made(resnet, converted, tmp_path):
    (tmp_path / "empty").mkdir()
    convert(resnet.target, tmp_path / "net.npz", tmp_path / "empty")
    convert(resnet.target, tmp_path / "net.npz", tmp_path / "a" / "b")
    assert (tmp_path / "empty/report.json").exists()
    assert (tmp_path / "a/b/report.json").exists()


def test_the_digest_tells_names_shapes_and_values():
    one = {"a": np.arange(6, dtype=np.float32)}
    others = [
        {"b": one["a"]},
        {"a": one["a"].reshape(2, 3)},
        {"a": np.nextafter(one["a"], np.float32(9))},
        {**one, "b": np.zeros(0, np.float32)},
    ]
    assert len({digest_of(values) for values in [one, *others]}) == 5


def test_a_checkpoint_of_other_values_than_its_report_is_refused(resnet, converted, tmp_path):
    changed = resnet.changed(conv1_conv__bias=resnet.values["conv1_conv/bias"] + 1)
    changed.write_npz(tmp_path / "changed.npz")
    convert(resnet.target, tmp_path / "changed.npz", tmp_path / "other")
    shutil.rmtree(converted / "encoder")
    shutil.copytree(tmp_path / "other/encoder", converted / "encoder")
    with pytest.raises(UserError, match=r"(?s)damaged.*SHA-256.*convert again"):
        load_encoder(converted, "resnet50", resnet.module())


def with_report(folder, **changes):
    path = folder / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_encoder_is_refused_with_the_command_for_the_right_one(resnet_v1_5, converted):
    with pytest.raises(
        UserError, match=r"(?s)holds resnet50, and .* resnet50_v1_5.*convert --encoder=resnet50_v1_5"
    ):
        load_encoder(converted, "resnet50_v1_5", resnet_v1_5.module())


def test_another_preprocessing_is_refused(resnet, converted):
    with_report(converted, preprocessing=dataclasses.asdict(IMAGENET))
    with pytest.raises(UserError, match=r"(?s)expect .*RGB.* gives them .*BGR"):
        load_encoder(converted, "resnet50", resnet.module())


def test_a_cut_checkpoint_is_too_small_for_a_whole_encoder(resnet, tmp_path):
    resnet.cut().write_npz(tmp_path / "cut.npz")
    report = convert(resnet.target, tmp_path / "cut.npz", tmp_path / "out")
    assert "conv5_block1_0_conv" in report.stays_at_initialisation
    with pytest.raises(UserError, match=r"(?s)only as far as.*conv5_block1_0.*--source=download"):
        load_encoder(tmp_path / "out", "resnet50", resnet.module("whole"))


def test_an_encoder_of_other_sizes_is_refused(resnet, converted):
    with pytest.raises(UserError, match=r"(?s)other sizes: .*conv1_.*model\.width=1"):
        load_encoder(converted, "resnet50", resnet.module(width=0.25))


def test_what_no_convert_wrote_is_refused(resnet, converted, tmp_path):
    module = resnet.module()
    for path, pattern in (
        (tmp_path / "nowhere", "is not there"),
        (tmp_path / "net.npz", "is a file"),
        (tmp_path, r"no report\.json"),
        (converted / "encoder", f"What to do: name its parent {converted}"),
    ):
        with pytest.raises(UserError, match=f"(?s){pattern}"):
            load_encoder(path, "resnet50", module)
    with_report(converted, format_version=2)
    with pytest.raises(UserError, match=r"(?s)format 2.*update nucseg_jax"):
        load_encoder(converted, "resnet50", module)
    for text in ("", "[]", "{}", '{"format_version": 1}', "\xff"):
        (converted / "report.json").write_text(text, encoding="latin-1")
        with pytest.raises(UserError, match="damaged"):
            load_encoder(converted, "resnet50", module)


def test_what_lies_in_the_way_is_left_alone(resnet, converted, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    resnet.changed(conv1_conv__bias=resnet.values["conv1_conv/bias"] + 1).write_npz(tmp_path / "other.npz")
    source = tmp_path / "net.npz"
    assert converted_before("resnet50", converted, source=source) is not None
    assert converted_before("resnet50", tmp_path / "free", source=source) is None
    for out, encoder, file, pattern in (
        (tmp_path / "file", "resnet50", source, "is a file"),
        (tmp_path / "full", "resnet50", source, "not what `convert` writes"),
        (converted, "resnet101", source, "another conversion: resnet50 from net.npz"),
        (converted, "resnet50", tmp_path / "other.npz", "another conversion"),
    ):
        with pytest.raises(UserError, match=f"(?s){pattern}.*choose another --out"):
            converted_before(encoder, out, source=file)
    shutil.rmtree(converted / "encoder")
    with pytest.raises(UserError, match="damaged"):
        converted_before("resnet50", converted, source=source)


def test_a_place_that_cannot_be_written_is_named(resnet, tmp_path):
    resnet.write_npz(tmp_path / "net.npz")
    with pytest.raises(UserError, match=r"(?s)cannot be written.*another --out"):
        convert(resnet.target, tmp_path / "net.npz", tmp_path / "net.npz" / "out")
    with (
        file_lock(tmp_path / ".out.lock", busy="", advice=""),
        pytest.raises(UserError, match="another `convert` is writing"),
    ):
        convert(resnet.target, tmp_path / "net.npz", tmp_path / "out")


CHILD = textwrap.dedent("""
    import pathlib, sys
    from nucseg_jax.core.errors import UserError
    from nucseg_jax.pretrained import checkpoint
    from nucseg_jax.pretrained.convert import convert
    from nucseg_jax.pretrained.target import target_of
    FIRST
    target = target_of("resnet50", width=0.125, encoder_depths=(1, 2, 1, 1))
    try:
        convert(target, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    except UserError as error:
        sys.exit(f"UserError: {error}")
""")
KILL_BEFORE_REPORT = "import os; checkpoint.write_json = lambda *_: os.kill(os.getpid(), 9)"
KILL_WHILE_ORBAX_WRITES = "import time; checkpoint.write_json = lambda *_: time.sleep(60)"


@pytest.mark.parametrize("moment", ["before the report", "while Orbax writes"])
def test_killed_at_any_moment_it_leaves_nothing_that_is_accepted(resnet, tmp_path, moment):
    resnet.write_npz(tmp_path / "net.npz")
    out, part = tmp_path / "out", tmp_path / ".out.part"
    first = KILL_BEFORE_REPORT if moment == "before the report" else KILL_WHILE_ORBAX_WRITES
    child = subprocess.Popen([sys.executable, "-c", CHILD.replace("FIRST", first), tmp_path / "net.npz", out])
    if moment == "while Orbax writes":
        deadline = time.monotonic() + 120
        while not list(part.rglob("*/*")) and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    assert child.wait(timeout=120) == -signal.SIGKILL
    assert part.exists()
    assert not out.exists()
    for folder in (out, part):
        with pytest.raises(UserError):
            load_encoder(folder, "resnet50", resnet.module())
    convert(resnet.target, tmp_path / "net.npz", out)
    load_encoder(out, "resnet50", resnet.module())
    assert not part.exists()


def test_a_full_disk_is_an_error_of_the_user_and_leaves_nothing(resnet, tmp_path):
    resnet.write_npz(tmp_path / "net.npz")
    (tmp_path / "disk").mkdir()
    mounted = f"mount -t tmpfs -o size=400k none {tmp_path}/disk"
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine does not let a test mount a disk")
    script = f'{mounted} && ("$@"; echo "rc $?"; find {tmp_path}/disk -type f)'
    program = CHILD.replace("FIRST", "")
    command = [sys.executable, "-c", program, tmp_path / "net.npz", tmp_path / "disk/out"]
    child = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert child.stdout.split("rc 1")[1].split() == [f"{tmp_path}/disk/.out.lock"], child.stderr
    assert "became full" in child.stderr.partition("UserError: ")[2]


def test_the_encoder_computes_with_what_was_loaded(resnet, converted):
    """The values reach the layers: features differ from those of other values, and are finite."""
    module = resnet.module("cut")
    loaded = load_encoder(converted, "resnet50", module)
    image = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)), jnp.uint8)
    features = module.apply(loaded.variables, image, train=False).output
    assert np.isfinite(features).all()
    assert np.ptp(features) > 0
