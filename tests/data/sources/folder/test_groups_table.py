import pathlib

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder.groups_table import read_grouping
from nucseg_jax.data.sources.folder.layout import ImageFiles

IMAGES = [
    ImageFiles(pathlib.Path("images") / name, pathlib.Path("labels") / name) for name in ("a.png", "b.tif")
]


def read(tmp_path, text=None, groups=None):
    if text is not None:
        (tmp_path / "groups.csv").write_bytes(text.encode())
    return read_grouping(tmp_path, IMAGES, groups or {})


def test_without_groups_each_image_is_one(tmp_path):
    grouping = read(tmp_path)
    assert grouping.group == {"a.png": "a.png", "b.tif": "b.tif"}
    assert grouping.division == {"a.png": "", "b.tif": ""}
    assert "each image is a group of its own" in grouping.described[0]


@pytest.mark.parametrize(
    "text",
    [
        "image,group,division\na,p1,train\nb.tif,p2,test\n",
        "\ufeffImage;Group;stain;division\r\nb;p2;HE;test\r\nA.png; p1;;train\r\n\r\n",
        'division\tgroup\timage\ntrain\tp1\t"a"\ntest\tp2\tb\n',
    ],
)
def test_a_table_names_images_with_or_without_ending_in_any_order(tmp_path, text):
    grouping = read(tmp_path, text)
    assert grouping.group == {"a.png": "p1", "b.tif": "p2"}
    assert grouping.division == {"a.png": "train", "b.tif": "test"}


def test_a_whole_name_goes_before_the_stem_of_another(tmp_path):
    (tmp_path / "groups.csv").write_text("image,group\na.png,p1\na.png.tif,p2\n")
    images = [ImageFiles(pathlib.Path(name), pathlib.Path(name)) for name in ("a.png", "a.png.tif")]
    assert read_grouping(tmp_path, images, {}).group == {"a.png": "p1", "a.png.tif": "p2"}


def test_a_group_in_two_divisions_is_told(tmp_path):
    grouping = read(tmp_path, "image,group,division\na,p1,train\nb,p1,test\n")
    assert any("in more than one division: 1 group: p1" in line for line in grouping.described)


def test_groups_of_dataset_yaml_and_divisions_of_the_table_go_together(tmp_path):
    grouping = read(tmp_path, "image,division\na,train\nb,test\n", {"a": "p1", "b.tif": "p1"})
    assert set(grouping.group.values()) == {"p1"}
    assert grouping.division["b.tif"] == "test"


@pytest.mark.parametrize(
    ("text", "groups", "told"),
    [
        (
            "image,group\na,p1\nb,p2\n",
            {"a": "p1", "b": "p1"},
            "both .*dataset.yaml and .*groups.csv give groups",
        ),
        ("image,group\na,p1\n", {}, "groups.csv lacks 1 image: b.tif"),
        ("image,group\na,p1\nb,p2\na.png,p3\n", {}, "a.png stands there twice: 'p1' and 'p3'"),
        ("image,group\na,p1\nb,p2\nbb,p2\n", {}, "no image 'bb'"),
        ("image,group\na,p1\nb\n", {}, "line 3 has 1 cell"),
        ("image,group\na,p1\nb,\n", {}, "line 3 has no group"),
        ("image,patient\na,p1\n", {}, "gives no group and no division"),
        ("image,group,group\na,p1,p2\n", {}, "more than one column group"),
        ("", {}, "no column image: it is empty"),
        ('image,group\n"a,p1\n', {}, "groups.csv cannot be read"),
        ("image,group\na,Patient 1\nb,patient  1\n", {}, "the same name but for case"),
        (
            "image,group\na,M\u00fcller\nb,Mu\u0308ller\n",
            {},
            r"'M\\xfcller' and 'Mu\\u0308ller' are the same",
        ),
        ("image,division\na,train\nb,Train\n", {}, "'train' and 'Train' are the same"),
        ('image,group\na,"p1\np2"\nb,p3\n', {}, r"a group or division is 'p1\\np2'"),
        (None, {"a": "p1", "b": "P1"}, "dataset.yaml: 'p1' and 'P1' are the same"),
        (None, {"a": "p1", "c": "p2"}, "dataset.yaml: there is no image 'c'"),
        (None, {"a": "p1", "a.png": "p2", "b": "p1"}, "dataset.yaml: a.png stands there twice"),
    ],
)
def test_an_image_has_one_group_and_an_entry_one_image(tmp_path, text, groups, told):
    with pytest.raises(UserError, match=told):
        read(tmp_path, text, groups)
