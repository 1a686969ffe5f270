import doctest
import pathlib

import pytest

from nucseg_jax.core import nearest, paths
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path


def test_examples_hold():
    for module in (nearest, paths):
        outcome = doctest.testmod(module)
        assert outcome.attempted
        assert not outcome.failed


def test_only_a_leading_tilde_is_expanded_and_only_for_users_that_are_there(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~") == pathlib.Path("/home/me")
    assert user_path(pathlib.Path("~/a/~b")) == pathlib.Path("/home/me/a/~b")
    for unchanged in ("a/~", "~$slide.svs", "~nobody-of-this-name/x", "/~/x"):
        assert user_path(unchanged) == pathlib.Path(unchanged)


def test_without_a_home_folder_a_tilde_is_refused(monkeypatch):
    """As a folder called ~ would be made."""

    def unknown(_):
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for path in ("~", "~/runs"):
        with pytest.raises(UserError, match="this user has none"):
            user_path(path)
    assert user_path("runs") == pathlib.Path("runs")


def test_a_table_of_the_package_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packaged = paths.configs_folder() / "monuseg_slides.csv"
    assert paths.table_path("configs/monuseg_slides.csv") == packaged
    assert paths.table_path("configs/other.csv") == pathlib.Path("configs/other.csv")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "monuseg_slides.csv").touch()
    assert paths.table_path("configs/monuseg_slides.csv") == pathlib.Path("configs/monuseg_slides.csv")
