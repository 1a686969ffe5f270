"""`robustness --data`: what names no data is told with what was found there."""

import pathlib

import pytest

from nucseg_jax.cli.robustness_data import other_plan
from nucseg_jax.core.errors import UserError


@pytest.fixture
def in_folder(tmp_path, monkeypatch) -> pathlib.Path:
    """A working folder with data, an empty folder and files."""
    (tmp_path / "data_dir" / "breast" / "nuclei" / "1.0.0").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").write_text("none")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("runs/none", "there is no such folder, and no such config"),
        ("quickstrat", "there is no such folder, and no such config; did you mean quickstart?"),
        ("data_dir/brest", "there is no such folder, and no such config; did you mean data_dir/breast?"),
        ("empty", "the folder empty holds no prepared data"),
        ("data_dir", "the folder data_dir holds no prepared data; did you mean data_dir/breast?"),
        ("notes", "it is neither a folder nor a config"),
        ("./notes", "notes is a file, and no config: Python, or the config.json of a run"),
    ],
)
def test_what_is_no_data_is_told_with_what_was_expected(other, words, in_folder):
    with pytest.raises(UserError) as error:
        other_plan(other, None, "test")
    found, expected, _ = str(error.value).splitlines()
    assert found == f"--data={other} names no data: {words}"
    assert expected.startswith("Expected: a folder that `prepare` wrote")
