"""docker/Dockerfile installs what this repository pins, for a user without rights, and its example can be typed."""

import pathlib
import re
import shlex

import pytest

from nucseg_jax.cli.main import VERBS

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
STAGES = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", TEXT, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_stage_installs_the_pins_of_its_device_and_ends_without_rights(device):
    stage = STAGES[device]
    (pins,) = re.findall(r"--require-hashes -r (\S+)", stage)
    assert pins == f"requirements/{device}.txt"
    assert (ROOT / pins).is_file()
    user = re.findall(r"^USER (\d+):(\d+)$", stage, re.MULTILINE)
    assert user
    assert int(user[-1][0]) > 0
    # Nothing is run or copied as root after the switch of the user.
    assert not re.search(r"^(RUN|COPY|ADD)", stage.partition("\nUSER")[2], re.MULTILINE)
    assert 'ENTRYPOINT ["nucseg"]' in stage


def test_the_python_of_the_image_is_supported():
    (version,) = re.findall(r"^FROM python:(\S+)-slim", TEXT, re.MULTILINE)
    assert f"Python :: {version}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_example_is_a_command_and_stands_in_the_docs():
    (example,) = re.findall(r"^#\s+(docker run .*)$", TEXT, re.MULTILINE)
    verb, *flags = shlex.split(example.partition(" nucseg ")[2])
    VERBS[verb].make_context(verb, flags)
    assert example in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_what_the_package_is_built_from_is_sent_to_the_build():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    needed = {"nucseg_jax", "configs", "requirements", "pyproject.toml", "README.md", "LICENSE"}
    assert not needed & {line.strip("/") for line in ignored}
    assert {".venv*", "runs", "data_dir", "weights"} <= set(ignored)
