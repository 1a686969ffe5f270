import unicodedata

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder.layout import find_files


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


def test_files_are_matched_by_name_whatever_their_endings(tmp_path):
    accented = "sn\u00edmek"
    put(
        tmp_path,
        *("images/b.ome.tif", "images/a.1.png", "images/C.JPG", "images/d.tif"),
        f"images/{unicodedata.normalize('NFD', accented)}.png",
        *("labels/b.geojson", "labels/a.1.npy", "labels/c.png", "labels/d.tif.geojson"),
        f"labels/{unicodedata.normalize('NFC', accented)}.xml",
        *("classes/a.1.png", "regions/C.png", "regions/d.tif.geojson"),
    )
    put(
        tmp_path,
        "images/._b.tif",
        "images/.DS_Store",
        "labels/Thumbs.db",
        "labels/.hidden.png",
        "images/notes.txt",
    )
    files, notes = find_files(tmp_path)
    assert [(each.name, each.label.name) for each in files] == [
        ("C.JPG", "c.png"),
        ("a.1.png", "a.1.npy"),
        ("b.ome.tif", "b.geojson"),
        ("d.tif", "d.tif.geojson"),
        (unicodedata.normalize("NFD", f"{accented}.png"), f"{accented}.xml"),
    ]
    beside = {each.name: (each.class_map, each.regions) for each in files}
    assert beside["a.1.png"][0].name == "a.1.png"
    assert beside["C.JPG"][1].name == "C.png"
    assert beside["d.tif"][1].name == "d.tif.geojson"
    assert beside["b.ome.tif"] == (None, None)
    assert len(notes) == 1
    assert "images/notes.txt" in notes[0]


def test_folders_that_belong_to_an_image_are_no_folders_of_images(tmp_path):
    put(
        tmp_path,
        "images/a.zarr/.zattrs",
        "images/b.mrxs",
        "images/b/Data0000.dat",
        "labels/a.png",
        "labels/b.xml",
    )
    files, notes = find_files(tmp_path)
    assert [each.name for each in files] == ["a.zarr", "b.mrxs"]
    assert not notes


def test_all_images_and_labels_that_lack_each_other_stand_in_one_error(tmp_path):
    put(
        tmp_path,
        "images/a.png",
        "images/b.png",
        "images/c.png",
        "labels/a.png",
        "labels/d.xml",
        "labels/b.bmp",
    )
    put(tmp_path, "regions/e.png")
    with pytest.raises(UserError) as caught:
        find_files(tmp_path)
    text = str(caught.value)
    assert "2 images without a label: b.png, c.png" in text
    assert "1 file of labels without an image: d.xml" in text
    assert "1 file of regions without an image: e.png" in text
    assert "not readable as labels: b.bmp" in text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["images/a.png", "images/a.tif", "labels/a.png"], "a.tif have the same name"),
        (["images/a.png", "images/A.tif", "labels/a.png"], "have the same name"),
        (["images/a.png", "labels/a.png", "labels/a.geojson"], "have the same name"),
        (["images/a.png", "labels/a.png", "labels/a.png.geojson"], "a.png.geojson both belong to a.png"),
        (["images/p1/a.png", "images/b.png", "labels/b.png"], "images/p1 is a folder"),
        (["images/b.png", "labels/b.png", "labels/p1/a.png"], "labels/p1 is a folder"),
        (["Images/a.png", "labels/a.png"], "did you mean Images"),
        (["images/a.png", "label/a.png"], "did you mean label"),
        (["images/a.txt", "labels/a.png"], "holds no image"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(tmp_path, names, told):
    put(tmp_path, *names)
    with pytest.raises(UserError, match=told):
        find_files(tmp_path)


@pytest.mark.parametrize(
    "name", ["Regions/a.png", "region/a.png", "class/a.png", "dataset.yml", "Groups.csv", "group.csv"]
)
def test_a_misspelt_optional_name_is_refused(tmp_path, name):
    put(tmp_path, "images/a.png", "labels/a.png", name)
    with pytest.raises(UserError, match=f"{name.split('/')[0]} is not read; did you mean"):
        find_files(tmp_path)


def test_what_else_lies_in_the_folder_is_told(tmp_path):
    put(tmp_path, "images/a.png", "labels/a.png", "regions/a.png", "regions_old/a.png", "README.txt")
    put(tmp_path, "folds.csv", "class_maps/a.png")
    files, notes = find_files(tmp_path)
    assert len(files) == 1
    assert notes == ("passed over, for their names: README.txt, class_maps, folds.csv, regions_old",)


@pytest.mark.parametrize("name", ["a\nb.png", "a\rb.png", "a\tb.png", "\x1b[31ma.png", "a\u2028b.png"])
def test_names_of_several_lines_are_refused_as_they_are_written(tmp_path, name):
    put(tmp_path, f"images/{name}", f"labels/{name}")
    with pytest.raises(UserError) as caught:
        find_files(tmp_path)
    assert ascii(name) in str(caught.value)
