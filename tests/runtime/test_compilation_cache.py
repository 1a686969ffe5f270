import jax
import pytest

from nucseg_jax.runtime.compilation_cache import VARIABLE, enable_compilation_cache


@pytest.fixture
def folder_in_use(monkeypatch, tmp_path, capsys):
    """A function from environment variables to the cache folder in use then, and what standard error got."""
    before = jax.config.jax_compilation_cache_dir

    def enable(**variables):
        for name in (VARIABLE, "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": str(tmp_path), **variables}.items():
            monkeypatch.setenv(name, value)
        # What JAX itself does at its import.
        jax.config.update("jax_compilation_cache_dir", variables.get(VARIABLE))
        enable_compilation_cache()
        return jax.config.jax_compilation_cache_dir, capsys.readouterr().err

    yield enable
    jax.config.update("jax_compilation_cache_dir", before)


def replace_by_link(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: folder.chmod(0o777), "others may write to"),
        (lambda folder: folder.parent.chmod(0o777), "others may write to"),
        (replace_by_link, "is a link"),
    ],
)
def test_the_default_folder_is_private_or_not_used(tmp_path, folder_in_use, spoil, reason):
    """Machine code lies in it, and is run."""
    expected = tmp_path / ".cache" / "nucseg_jax" / "jax"
    assert folder_in_use() == (str(expected), "")
    assert expected.stat().st_mode & 0o777 == 0o700
    assert folder_in_use() == (str(expected), "")
    spoil(expected)
    folder, message = folder_in_use()
    assert folder is None
    assert reason in message
    assert message.count("\n") == 1


def test_a_cache_folder_that_cannot_be_made_is_one_line(tmp_path, folder_in_use):
    (tmp_path / "file").touch()
    for variables in ({"XDG_CACHE_HOME": str(tmp_path / "file")}, {VARIABLE: str(tmp_path / "file" / "x")}):
        folder, message = folder_in_use(**variables)
        assert "cannot be made: Not a directory" in message
        assert message.count("\n") == 1
        assert (folder is None) == ("XDG_CACHE_HOME" in variables)


def test_the_variable_names_another_folder_or_none(tmp_path, folder_in_use):
    for value, folder in ((str(tmp_path / "named"), tmp_path / "named"), ("~/there", tmp_path / "there")):
        assert folder_in_use(**{VARIABLE: value}) == (str(folder), "")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert folder_in_use(**{VARIABLE: "gs://bucket/cache"}) == ("gs://bucket/cache", "")
    assert folder_in_use(**{VARIABLE: ""}) == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"named", "there"}
    # A folder that its users share on purpose is used; they are told what that means.
    (tmp_path / "named").chmod(0o777)
    folder, message = folder_in_use(**{VARIABLE: str(tmp_path / "named")})
    assert folder == str(tmp_path / "named")
    assert "can run code as you" in message
    (tmp_path / "named").chmod(0o770)
    assert folder_in_use(**{VARIABLE: str(tmp_path / "named")}) == (str(tmp_path / "named"), "")
