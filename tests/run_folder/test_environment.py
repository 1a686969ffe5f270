import json
import pathlib
import platform
import shutil
import socket
import subprocess

import pytest

import nucseg_jax
from nucseg_jax.run_folder import environment
from nucseg_jax.run_folder.environment import describe_checkout, describe_environment


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "module.py").write_text("one = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", "module.py")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_is_json_with_true_values_and_without_the_host_name():
    described = describe_environment()
    text = json.dumps(described, allow_nan=False)
    assert described["python"] == platform.python_version()
    assert described["packages"]["nucseg_jax"] is not None
    assert described["jax"]["backend"] == "cpu"
    assert described["jax"]["device_count"] >= 1
    assert socket.gethostname() not in text


def test_the_commit_is_that_of_the_checkout_and_dirty_means_changed(checkout: pathlib.Path):
    commit = git(checkout, "rev-parse", "HEAD")
    module = checkout / "module.py"
    assert describe_checkout(module) == {"commit": commit, "dirty": False}
    (checkout / "new.py").write_text("")
    assert describe_checkout(module) == {"commit": commit, "dirty": True}
    (checkout / ".git" / "info" / "exclude").write_text("new.py\n")
    assert describe_checkout(module) == {"commit": commit, "dirty": False}
    module.write_text("one = 2\n")
    assert describe_checkout(module) == {"commit": commit, "dirty": True}


def test_a_change_beside_the_package_counts(checkout: pathlib.Path):
    (checkout / "package").mkdir()
    (checkout / "package" / "inner.py").write_text("")
    git(checkout, "add", "package")
    git(checkout, "commit", "-q", "-m", "second")
    (checkout / "module.py").write_text("one = 3\n")
    assert describe_checkout(checkout / "package" / "inner.py")["dirty"] is True


def test_a_hook_of_another_repository_does_not_mislead(
    checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(checkout.parent / "elsewhere"))
    assert describe_checkout(checkout / "module.py")["commit"] == commit


def test_this_package_in_its_checkout_and_copied_elsewhere(tmp_path: pathlib.Path):
    nothing = {"commit": None, "dirty": None}
    package = pathlib.Path(nucseg_jax.__file__).parent
    try:
        head = git(package, "rev-parse", "HEAD")
        git(package, "ls-files", "--error-unmatch", "run_folder/environment.py")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the package under test does not lie in a git checkout")
    assert describe_environment()["git"]["commit"] == head
    copy = shutil.copy(environment.__file__, tmp_path / "environment.py")
    assert describe_checkout(pathlib.Path(copy)) == nothing


def test_a_file_that_merely_lies_inside_a_foreign_checkout(checkout: pathlib.Path):
    installed = checkout / ".venv" / "lib" / "environment.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    assert describe_checkout(installed) == {"commit": None, "dirty": None}


def test_a_machine_without_git(checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert describe_checkout(checkout / "module.py") == {"commit": None, "dirty": None}
