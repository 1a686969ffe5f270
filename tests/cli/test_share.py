"""A packed model stands for its run wherever images are predicted or scored; damage to it is named; URLs of it too."""

import io
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from nucseg_jax import load_run
from nucseg_jax.cli.export import export
from nucseg_jax.cli.main import run as run_command
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.seal import bytes_digest, sealed
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.model_folder.packed import write_packed
from nucseg_jax.model_folder.stored_weights import named_arrays
from tests.cli.predicted_files import contents
from tests.conftest import ROOT
from tests.model_folder.model_server import serving

MEMBERS = ["README.md", "model.json", "run.json", "seen.json", "weights.npz"]


@pytest.fixture(scope="module")
def packed(finished_run, tmp_path_factory) -> pathlib.Path:
    """A packed model of a run; no test changes it."""
    file = tmp_path_factory.mktemp("shared") / "tiny.zip"
    assert run_command(["share", f"--workdir={finished_run}", f"--out={file}"]) == 0
    return file


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return paint_patch(0, 1, 10).image[:96, :128]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    """An empty cache of downloads; attempts follow each other without a wait."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nucseg_jax.core.download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("nucseg_jax.core.download._SILENCE_LIMIT_S", 0.5)
    return tmp_path / "cache" / "nucseg_jax" / "models"


@pytest.fixture
def server(packed):
    with serving(packed.read_bytes()) as running:
        yield running


def members(file: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_predicts_bit_for_bit_what_the_run_predicts(finished_run, packed, image, tmp_path, monkeypatch):
    """By the command line, in a folder that knows neither the run nor its data."""
    Image.fromarray(image).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    shutil.copy(packed, tmp_path / "tiny.zip")
    for source, out in (
        (f"--workdir={finished_run}", "run"),
        ("--model=tiny.zip", "file"),
        (f"--workdir={tmp_path / 'tiny.zip'}", "path"),
    ):
        assert run_command(["predict", source, "--inputs=a.png", f"--out={out}", "--tile_px=64"]) == 0
    expected = contents(tmp_path / "run", "a")
    assert contents(tmp_path / "file", "a") == contents(tmp_path / "path", "a") == expected
    summaries = [json.loads((tmp_path / out / "summary.json").read_text()) for out in ("run", "file")]
    assert summaries[0]["model_digest"] == summaries[1]["model_digest"]
    assert summaries[1]["run"] == "tiny.zip"


def test_its_bytes_follow_from_the_run_alone(finished_run, packed, tmp_path):
    time.sleep(2.1)  # ZIP archives count time in steps of two seconds.
    run_command(["share", f"--workdir={finished_run}", f"--out={tmp_path / 'other.zip'}"])
    assert (tmp_path / "other.zip").read_bytes() == packed.read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "other.zip"]


def test_it_holds_the_best_weights_once_and_no_path_of_this_machine(finished_run, packed):
    found = members(packed)
    assert list(found) == MEMBERS
    weights = sum(array.nbytes for array in named_arrays(load_run(finished_run).variables).values())
    assert weights < packed.stat().st_size < weights + 150_000
    # The run keeps two moments of the optimizer for each weight.
    checkpoints = [path for path in (finished_run / "checkpoints").rglob("*") if path.is_file()]
    assert packed.stat().st_size < sum(path.stat().st_size for path in checkpoints)
    for name, content in found.items():
        assert str(finished_run.parent).encode() not in content, name
        assert str(ROOT).encode() not in content, name
    origin = json.loads(found["run.json"])
    assert origin["results"] == json.loads((finished_run / "results.json").read_text())
    assert origin["split_digest"] == json.loads((finished_run / "split.json").read_text())["digest"]
    config = json.loads((finished_run / "config.json").read_text())
    assert origin["config"]["train"] == config["train"]
    assert origin["trained_with"]["packages"]["jax"]


def test_evaluate_and_export_take_it(finished_run, packed, command_line, tmp_path, capsys):
    flags = ["evaluate", f"--model={packed}", *command_line.config[:2], "--split=test"]
    assert run_command([*flags, f"--out={tmp_path / 'scores'}"]) == 0
    found = json.loads((tmp_path / "scores" / "results.json").read_text())
    expected = json.loads((finished_run / "results.json").read_text())["test"]["micro"]["dice"]
    assert found["test"]["micro"]["dice"] == pytest.approx(expected, abs=1e-6)
    assert run_command([*flags[:-1], "--split=train"]) == 2
    assert "was trained on 5 of the 5 patches" in capsys.readouterr().err
    export(str(packed), tmp_path / "model.stablehlo")
    assert "differs from the model by" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["evaluate", "robustness"])
def test_verbs_that_need_the_run_say_so(verb, packed, capsys):
    assert run_command([verb, f"--workdir={packed}"]) == 2
    assert "is a file\nExpected: the folder of a training run" in capsys.readouterr().err


def test_a_model_folder_is_packed_as_it_is(packed, tmp_path, capsys):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, content in members(packed).items():
        (folder / name).write_bytes(content)
    assert run_command(["share", f"--model={folder}", f"--out={tmp_path / 'again.zip'}"]) == 0
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    assert bytes_digest(packed.read_bytes())["sha256"] in capsys.readouterr().out
    # One of before `run.json`.
    old = tmp_path / "old.zip"
    assert run_command(["share", "--model=small", f"--out={old}"]) == 0
    assert "run.json" not in members(old)
    assert load_run(old).digest() == load_run("small").digest()


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("kind", ["byte", "member", "missing"])
def test_damage_to_any_member_is_one_error(packed, tmp_path, name, kind):
    """A flipped byte of the file; or a member that was changed by a program that writes good archives."""
    damaged = tmp_path / "damaged.zip"
    found = members(packed)
    if kind == "byte":
        content = bytearray(packed.read_bytes())
        content[content.index(found[name]) + len(found[name]) // 2] ^= 1
        damaged.write_bytes(content)
    else:
        middle = len(found[name]) // 2
        changed = found[name][:middle] + bytes([found[name][middle] ^ 1]) + found[name][middle + 1 :]
        write_packed(damaged, found | {name: changed} if kind == "member" else without(found, name))
    with pytest.raises(UserError, match=re.escape(name)) as caught:
        load_run(damaged)
    assert str(damaged) in str(caught.value)


def without(found: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: value for key, value in found.items() if key != name}


def test_whatever_byte_is_flipped_it_is_refused_or_the_same_model(packed, tmp_path):
    """Every byte of the archive's own headers, and some of the members'."""
    content, found = packed.read_bytes(), members(packed)
    inside = np.zeros(len(content), bool)
    for member in found.values():
        begin = content.index(member)
        inside[begin : begin + len(member)] = True
    places = [*np.flatnonzero(~inside).tolist(), *range(100, len(content), len(content) // 20)]
    refused, damaged = 0, tmp_path / "damaged.zip"
    for place in places:
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            model = read_model_folder(damaged)
        except UserError:
            refused += 1
        else:
            model.pack(tmp_path / "again.zip")
            assert (tmp_path / "again.zip").read_bytes() == content, place
    assert refused > len(places) // 2


@pytest.mark.parametrize("kept", [0, 10, 1000, -1, "longer"])
def test_a_truncated_or_longer_file_is_refused(packed, tmp_path, kept):
    content = packed.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content + b"x" if kept == "longer" else content[:kept])
    with pytest.raises(UserError, match=r"cut\.zip > model\.json cannot be read"):
        load_run(tmp_path / "cut.zip")


@pytest.mark.parametrize("name", ["../escaped.py", "/tmp/escaped.py", "weights.pkl", "a/model.json"])
def test_a_member_of_another_name_is_refused_and_nothing_is_written(packed, tmp_path, name):
    (tmp_path / "a").mkdir()
    write_packed(tmp_path / "a" / "evil.zip", members(packed) | {name: b"x"})
    with pytest.raises(UserError, match="which no packed model has"):
        load_run(tmp_path / "a" / "evil.zip")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "evil.zip"]


def test_compressed_members_and_one_that_is_there_twice_are_refused(packed, tmp_path):
    with zipfile.ZipFile(tmp_path / "small.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members(packed).items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="compressed"):
        load_run(tmp_path / "small.zip")
    shutil.copy(packed, tmp_path / "twice.zip")
    with (
        zipfile.ZipFile(tmp_path / "twice.zip", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("model.json", b"{}")
    with pytest.raises(UserError, match="twice"):
        load_run(tmp_path / "twice.zip")


def test_a_newer_format_is_named_with_the_version_that_wrote_it(packed, tmp_path):
    found = members(packed)
    values = json.loads(found["model.json"])
    values.pop("sha256")
    newer = json.dumps(sealed(values | {"format": 2, "package_version": "9.9"})).encode()
    write_packed(tmp_path / "newer.zip", found | {"model.json": newer})
    with pytest.raises(UserError, match=r"format 2, written by nucseg_jax 9\.9; this version reads up to 1"):
        load_run(tmp_path / "newer.zip")


def test_pickled_weights_are_never_read(packed, tmp_path):
    """Under good digests: an archive whose arrays are Python objects."""
    found = members(packed)
    file = io.BytesIO()
    np.savez(file, **{"params/a": np.array([{}], object)})
    weights = file.getvalue()
    values = json.loads(found["model.json"])
    values.pop("sha256")
    values["files"]["weights.npz"] = dict(bytes_digest(weights))
    found |= {"weights.npz": weights, "model.json": json.dumps(sealed(values)).encode()}
    write_packed(tmp_path / "evil.zip", found)
    with pytest.raises(UserError, match="Python objects"):
        load_run(tmp_path / "evil.zip")


def test_only_a_packed_model_is_replaced(packed, finished_run, tmp_path, capsys):
    (tmp_path / "notes.zip").write_text("mine")
    (tmp_path / "link.zip").symlink_to(packed)
    for name, message in (("notes.zip", "no packed model"), ("link.zip", "link"), (".", "folder")):
        assert run_command(["share", f"--workdir={finished_run}", f"--out={tmp_path / name}"]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "notes.zip").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["share", "--out=a.zip"], "needs --workdir or --model, and --out"),
        (["share", "--workdir=runs/a"], "needs --workdir or --model, and --out"),
        (["share", "--model=small", "--dtype=float16", "--out=a.zip"], "--dtype goes with --workdir"),
        (["predict", "--model=ftp://a/b.zip", "--inputs=a", "--out=b"], "ftp://a/b.zip is no URL of a model"),
        (["predict", "--model=file:///b.zip", "--inputs=a", "--out=b"], "is no URL of a model"),
        (["predict", "--model=https://a.org/", "--inputs=a", "--out=b"], "names no file"),
        (["predict", "--model=https://a.org/b.zip#sha256=12", "--inputs=a", "--out=b"], "is no SHA-256"),
        (
            ["predict", "--model=https://me:secret@a.org/b.zip", "--inputs=a", "--out=b"],
            "a user or a password",
        ),
        (["predict", "--model=hf://a/b.zip", "--inputs=a", "--out=b"], "names no file of the hub"),
        (["predict", "--workdir=https://a.org/b.zip", "--inputs=a", "--out=b"], "give it as --model"),
    ],
)
def test_flags_and_urls_that_cannot_be_are_refused_before_anything_is_asked(arguments, message, capsys):
    assert run_command(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "secret" not in error


def test_a_url_is_downloaded_once_and_used_offline_afterwards(server, packed, cache, capsys):
    expected, sha256 = load_run(packed).digest(), bytes_digest(packed.read_bytes())["sha256"]
    server.cuts = [len(server.content) // 2, 10]
    opened = load_run(server.url)
    assert (opened.digest(), opened.name) == (expected, server.url)
    assert f"add #sha256={sha256}" in capsys.readouterr().err
    half = len(server.content) // 2
    assert server.requests == [(None, None), (f"bytes={half}-", '"1"'), (f"bytes={half + 10}-", '"1"')]
    server.shutdown()
    assert load_run(server.url).digest() == expected
    # The same file with its digest: known, and nothing is printed.
    capsys.readouterr()
    assert load_run(f"{server.url}#sha256={sha256}").digest() == expected
    assert "note" not in capsys.readouterr().err
    assert len(server.requests) == 3
    assert [path.name for path in cache.rglob("tiny.zip*")] == ["tiny.zip"]


def test_a_file_that_changes_between_two_attempts_is_begun_again(server, packed, cache):
    """Without a digest nobody else could tell; the server's tag does."""
    changed = packed.read_bytes()
    server.content, server.etag = b"y" * 5000, '"old"'
    server.cuts = [3000] + [0] * 20
    with pytest.raises(UserError, match="could not be downloaded"):
        load_run(server.url)
    server.content, server.etag, server.cuts, server.requests[:] = changed, '"new"', [], []
    assert load_run(server.url).digest() == load_run(packed).digest()
    assert server.requests == [("bytes=3000-", '"old"')]
    # Of a server without tags or dates nothing is resumed.
    shutil.rmtree(cache)
    server.etag, server.cuts, server.requests[:] = "", [3000], []
    assert load_run(server.url).digest() == load_run(packed).digest()
    assert server.requests == [(None, None), (None, None)]


def test_another_digest_and_what_is_no_model_are_refused_and_not_kept(server, cache, capsys):
    with pytest.raises(UserError, match="was not used"):
        load_run(f"{server.url}#sha256={'0' * 64}")
    good, server.content = server.content, b"<html>not found</html>"
    with pytest.raises(UserError, match=r"was downloaded and removed again: .*tiny\.zip > model\.json"):
        load_run(server.url)
    assert not list(cache.rglob("tiny.zip"))
    server.content = good
    load_run(server.url)


def test_a_damaged_file_of_the_cache_is_named(server, cache):
    load_run(server.url)
    (file,) = cache.rglob("tiny.zip")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: it was downloaded from") as caught:
        load_run(server.url)
    assert str(file) in str(caught.value)
    file.unlink()
    load_run(server.url)


def test_a_password_in_a_url_is_neither_kept_nor_shown(server, cache, image, tmp_path, capsys):
    opened = load_run(f"{server.url}?token=secret")
    assert opened.name == server.url
    assert "secret" not in "".join(capsys.readouterr())
    assert not [path for path in cache.rglob("*.json") if "secret" in path.read_text()]


@pytest.mark.parametrize("address", ["{}/none.zip?token=secret", "{}?token=secret#sha256=" + 64 * "0"])
def test_a_password_in_a_url_is_not_shown_by_an_error(server, address, cache):
    base = server.url.removesuffix("/tiny.zip") if "none" in address else server.url
    with pytest.raises(UserError) as caught:
        load_run(address.format(base))
    assert base in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_killed_download_is_resumed(server, packed, cache):
    """A process of its own, which is killed while it waits for the rest."""
    server.holds, server.cuts = True, [20_000]
    code = f"from nucseg_jax.model_folder.named import find_model; find_model({server.url!r})"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [part for part in cache.rglob("tiny.zip.part") if part.stat().st_size]:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    server.holds = False
    server.may_end.set()
    assert load_run(server.url).digest() == load_run(packed).digest()
    assert server.requests[-1] == ("bytes=20000-", '"1"')


def test_hf_names_the_extra_where_its_library_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("nucseg_jax.core.extras._is_installed", lambda module: module != "huggingface_hub")
    with pytest.raises(UserError, match=r"pip install 'nucseg_jax\[hub\]'"):
        load_run("hf://owner/nuclei/tiny.zip@main")
