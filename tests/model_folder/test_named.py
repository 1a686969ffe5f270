"""What a text names: a path, or a model of the installation; never one of two without a word."""

import pathlib

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.model_folder import named
from nucseg_jax.model_folder.named import find_model, model_names


@pytest.fixture
def installed(tmp_path, monkeypatch) -> pathlib.Path:
    """A folder of models with one, small, and an empty working directory."""
    folder, here = tmp_path / "installed", tmp_path / "here"
    (folder / "small").mkdir(parents=True)
    (folder / "small" / "model.json").write_text("{}")
    (folder / "unfinished").mkdir()
    here.mkdir()
    monkeypatch.setattr(named, "models_folder", lambda: folder)
    monkeypatch.chdir(here)
    return folder


def test_a_bare_word_is_a_model_and_what_has_a_separator_is_a_path(installed):
    assert model_names() == ["small"]
    assert find_model("small") == (installed / "small", "small")
    for path in ("./small", "a/small", "/small", ".", ".."):
        assert find_model(path) == (pathlib.Path(path), str(pathlib.Path(path)))
    assert find_model(pathlib.Path("small")) == (pathlib.Path("small"), "small")
    assert find_model("~/small").path == pathlib.Path("~/small").expanduser()


def test_a_bare_word_is_a_folder_here_where_no_model_has_the_name(installed):
    pathlib.Path("mine").mkdir()
    assert find_model("mine") == (pathlib.Path("mine"), "mine")


def test_a_name_that_is_both_is_refused_with_how_to_write_the_folder(installed):
    pathlib.Path("small").mkdir()
    with pytest.raises(UserError, match=r"write \./small for the folder"):
        find_model("small")
    assert find_model("./small").path == pathlib.Path("small")


def test_a_name_of_nothing_is_refused_with_the_names_there_are(installed, monkeypatch):
    with pytest.raises(UserError, match=r"did you mean small\?.*\n.*a model \(small\)"):
        find_model("smal")
    monkeypatch.setattr(named, "models_folder", lambda: installed / "none")
    with pytest.raises(UserError, match="this installation has none"):
        find_model("small")
