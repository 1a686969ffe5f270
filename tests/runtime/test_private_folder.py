import os
import stat

import pytest

from nucseg_jax.runtime.private_folder import make_private, why_exchangeable, why_unsafe


def test_missing_folders_are_made_for_their_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
        make_private(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert why_unsafe(folder) == ""


@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_unsafe(tmp_path, mode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    assert "others may write to" in why_unsafe(tmp_path / "a")
    (tmp_path / "a").chmod(0o755)
    assert why_unsafe(tmp_path / "a") == ""


def test_a_link_a_file_and_a_folder_of_another_user_are_unsafe(tmp_path, monkeypatch):
    make_private(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "file").touch()
    assert "is a link" in why_unsafe(tmp_path / "link")
    assert "is not a folder" in why_unsafe(tmp_path / "file")
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "a").stat().st_uid + 4711)
    assert "another user" in why_unsafe(tmp_path / "a")


@pytest.mark.parametrize(("mode", "is_safe"), [(0o755, True), (0o775, False), (0o777, False), (0o1777, True)])
def test_a_folder_can_be_exchanged_where_others_may_rename_it(tmp_path, mode, is_safe):
    make_private(tmp_path / "above" / "a" / "b")
    (tmp_path / "above").chmod(mode)
    for folder in (tmp_path / "above" / "a", tmp_path / "above" / "a" / "b"):
        assert (f"others may write to {tmp_path / 'above'};" in why_exchangeable(folder)) == (not is_safe)
