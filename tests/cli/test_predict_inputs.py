"""What --inputs names: paths that exist are themselves, companions and circles are no images."""

import os
import pathlib

import pytest

from nucseg_jax.cli.predict_inputs import find_inputs, split_inputs
from nucseg_jax.core.errors import UserError


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(folder: pathlib.Path, *patterns: str) -> list[str]:
    paths = find_inputs([f"{folder}/{pattern}" for pattern in patterns], folder / "out")
    return [os.fspath(path.relative_to(folder)) for path in paths]


def test_inputs_are_checked_before_anything_runs(tmp_path):
    for name in ("a.png", "a.tif", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    out = tmp_path / "out"
    assert [path.name for path in find_inputs([f"{tmp_path}/b*", str(tmp_path / "b.jpg")], out)] == ["b.jpg"]
    for patterns, folder, words in (
        ([str(tmp_path)], out, "under one name"),
        ([f"{tmp_path}/*.svs"], out, "names no image"),
        ([f"{tmp_path}/b.jpg"], tmp_path, "where outputs go"),
    ):
        with pytest.raises(UserError, match=words):
            find_inputs(patterns, folder)


def test_what_exists_is_itself_with_brackets_stars_and_commas_in_it(tmp_path):
    touch(tmp_path, "run[1]/a[1].png", "run[1]/a1.png", "run1/b.png", "c*.png", "cd.png")
    assert found(tmp_path, "run[1]") == ["run[1]/a1.png", "run[1]/a[1].png"]
    assert found(tmp_path, "run[1]/a[1].png") == ["run[1]/a[1].png"]
    assert found(tmp_path, "run[1]/a*") == ["run[1]/a1.png", "run[1]/a[1].png"]
    assert found(tmp_path, "c*.png") == ["c*.png"]
    assert found(tmp_path, "run?/b.png", "c?.png") == ["run1/b.png", "c*.png", "cd.png"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b.png", ["a,b.png"]),
        ("c.png,a,b.png,d.png", ["c.png", "a,b.png", "d.png"]),
        ("x, y/e.png , c.png", ["x, y/e.png", "c.png"]),
        ("x, y/*.png,c.png", ["x, y/*.png", "c.png"]),
        ("x, y,c.png", ["x, y", "c.png"]),
        ("c*,d*,a,b*", ["c*", "d*", "a,b*"]),
        ("gone.png,c.png,,", ["gone.png", "c.png"]),
        ("a,b.png,a,b.png", ["a,b.png", "a,b.png"]),
    ],
)
def test_commas_part_paths_but_for_those_inside_of_one(text, parts, tmp_path, monkeypatch):
    touch(tmp_path, "a,b.png", "c.png", "d.png", "x, y/e.png")
    monkeypatch.chdir(tmp_path)
    assert split_inputs(text) == parts


def test_a_list_that_is_longer_than_a_path_is_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"slide of a patient {number}.png" for number in range(200)]
    assert split_inputs(",".join(names)) == names


def test_companions_are_passed_over_unless_they_are_named(tmp_path):
    companions = ("._a.png", ".DS_Store", "Thumbs.db", "__MACOSX/._b.png", "@eaDir/a.png/SYNOPHOTO_THUMB.jpg")
    touch(tmp_path, "a.png", ".hidden.png", "deep/c.png", *companions)
    assert found(tmp_path, "") == [".hidden.png", "a.png"]
    assert found(tmp_path, "*") == ["a.png"]
    assert found(tmp_path, "**/*") == ["a.png", "deep/c.png"]
    assert found(tmp_path, ".*.png") == [".hidden.png"]
    assert found(tmp_path, "._a.png", "__MACOSX/._b.png") == ["._a.png", "__MACOSX/._b.png"]
    touch(tmp_path, "only/._a.png")
    with pytest.raises(UserError, match="names no image"):
        found(tmp_path, "only")


def test_links_in_circles_end_and_stop_nothing(tmp_path):
    touch(tmp_path, "in/deep/a.png")
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    for name in ("in/one", "in/two", "in/deep/three"):
        (tmp_path / name).symlink_to(tmp_path / "in", target_is_directory=True)
    assert found(tmp_path, "in/**/*.png") == ["in/self.png", "in/deep/a.png"]
    assert found(tmp_path, "in/**") == ["in/self.png", "in/deep/a.png"]
    assert found(tmp_path, "in") == ["in/self.png"]


def test_a_name_that_no_file_can_have_is_left_to_the_reader(tmp_path):
    assert len(found(tmp_path, "x" * 300 + ".png")) == 1


def test_names_that_some_file_systems_take_for_one_are_refused(tmp_path):
    for one, other in (("A.png", "a.tif"), ("e\u0301.png", "\u00e9.tif")):
        touch(tmp_path, one, other)
        with pytest.raises(UserError, match="under one name"):
            found(tmp_path, one, other)


def test_the_folder_of_outputs_is_known_by_any_of_its_names(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to("images", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for out in ("images", "link", "images/../link", tmp_path / "link"):
        with pytest.raises(UserError, match="where outputs go"):
            find_inputs([f"{tmp_path}/images/a.png"], pathlib.Path(out))
