import contextlib

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder.description import Description, read_description


def read(tmp_path, text):
    (tmp_path / "dataset.yaml").write_text(text, encoding="utf-8-sig")
    return read_description(tmp_path)


def test_all_of_it_is_optional(tmp_path):
    assert read_description(tmp_path) == Description()
    assert read(tmp_path, "# nothing\n") == Description()
    assert read(tmp_path, "licence:\n").licence == ""


def test_every_value_is_read_as_it_is_written(tmp_path):
    description = read(
        tmp_path,
        """
name: 2024
microns_per_px: 0.5
classes: {tumour: "#0a141e", no: , "1e3": "#FFFFFF"}
unclassified: no
labels: instances
groups: {a: p1, 007: 1.0}
licence: CC BY 4.0
""",
    )
    assert description.name == "2024"
    assert description.microns_per_px == 0.5
    assert [each.name for each in description.classes] == ["tumour", "no", "1e3"]
    assert description.classes[0].color == (10, 20, 30)
    assert description.unclassified == "no"
    assert description.groups == {"a": "p1", "007": "1.0"}


def test_a_list_of_classes_keeps_its_order_and_an_empty_one_is_none_at_all(tmp_path):
    assert [each.name for each in read(tmp_path, "classes: [b, a]").classes] == ["b", "a"]
    assert read(tmp_path, "classes: []").classes == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clases: [a]", "'clases' is no key of it; did you mean classes"),
        ("license: MIT", "did you mean licence"),
        ("microns_per_px: 0,25", "microns_per_px: it is '0,25'"),
        ("microns_per_px: [0.25]", "microns_per_px: it is a list"),
        ("microns_per_px: nan", "microns_per_px: it is 'nan'"),
        ("microns_per_px: 250", "microns_per_px: it is '250'"),
        ("labels: instance", "did you mean instances"),
        ("labels: [mask]", "labels: it is a list"),
        ("classes: tumour", "classes: it is 'tumour'"),
        ("classes: [a, [b]]", "classes: it is a list"),
        ("classes: [a, a]", "stands there twice"),
        ("classes: {a: red}", "the colour of 'a' is 'red'"),
        ("groups: [a, b]", "groups: it is a list"),
        ("groups: {a: p1, a: p2}", "line 1: 'a' stands there twice"),
        ("groups: {a: }", "'a' has no group"),
        ("name: a\nname: b", "line 2: 'name' stands there twice"),
        ("classes: [a]\nunclassified: b", "unclassified is 'b'"),
        ("- a\n- b", "holds a list"),
        ("name: {a: b}", "name: it is a mapping"),
        ("name: [a", "cannot be read: line"),
        ("name: !!python/object:os.system x\n? [a]\n: b", "cannot be read"),
        ("[" * 3000, "cannot be read"),
        ("name: " + "a" * (1 << 20), "cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_and_key(tmp_path, text, told):
    with pytest.raises(UserError, match=f"dataset.yaml.*{told}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir [ran]", "!!python/name:os.mkdir", "!!python/module:os"]
)
def test_tags_of_python_make_no_object(tag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset.yaml").write_text(f"name: {tag}\n")
    with contextlib.suppress(UserError):
        assert isinstance(read_description(tmp_path).name, str)
    assert not (tmp_path / "ran").exists()
