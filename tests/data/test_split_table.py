import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.split_table import read_table
from tests.data.indexes import make_index, patients
from tests.data.test_split_protocols import pannuke

IMAGES = {
    "TCGA-18-5592-01Z.tif": ("kidney", 3),
    "TCGA-18-9999-01Z.tif": ("kidney", 4),
    "TCGA-A7-A13E-01Z.tif": ("breast", 8),
    "s1.png": ("s", 2),
    "s10.png": ("ten", 2),
}
FOLD = dict(zip(IMAGES, "22134", strict=True))


def write(tmp_path, *lines, header="organ,image,fold", encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_text("\n".join([header, *lines]), encoding=encoding)
    return path


@pytest.mark.parametrize(
    "lines",
    [
        [f"x,{image},{fold}" for image, fold in FOLD.items()],
        # Without endings, in another order, as a spreadsheet writes numbers, with an empty line.
        [f'"x, y", {image.rpartition(".")[0]} ,{fold}.0' for image, fold in reversed(FOLD.items())]
        + ["", ",,"],
        # A group for all its images; the beginning of a name.
        ["x,kidney,2", "x,TCGA-A7-A13E,1", "x,s1,3", "x,s10,04"],
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_image_gets_its_value(tmp_path, lines, encoding):
    index, info = make_index(IMAGES)
    values = read_table(write(tmp_path, *lines, encoding=encoding), "fold", index, info)
    assert values == [FOLD[image] for image in index.image]


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (["x,s2,1"], ["line 7: 's2' is no image or group of the data set; did you mean"]),
        (["x,s,3"], ["line 7: s1.png stands on line 5 too"]),
        (["x,TCGA-18-5592-01Z,1"], ["line 7: TCGA-18-5592-01Z.tif stands on line 2 too"]),
        (["x,TCGA-18,1"], ["line 7: 'TCGA-18' may be TCGA-18-5592-01Z.tif or TCGA-18-9999-01Z.tif"]),
        (["x,,1"], ["line 7: '' is no image"]),
        # Half a name is none: 18-559 would go on in 2.
        (["x,TCGA-18-559,1"], ["line 7: 'TCGA-18-559' is no image"]),
        (
            ["x,s2,val", "x,s3,"],
            ["line 7: fold is 'val'", "line 7: 's2'", "line 8: fold is ''", "line 8: 's3'"],
        ),
    ],
)
def test_every_fault_is_named_with_its_line(tmp_path, lines, faults):
    index, info = make_index(IMAGES)
    path = write(tmp_path, *[f"x,{image},{fold}" for image, fold in FOLD.items()], *lines)
    with pytest.raises(UserError) as caught:
        read_table(path, "fold", index, info)
    for fault in (str(path), *faults):
        assert fault in str(caught.value)


def test_a_table_of_many_more_images_than_were_prepared_is_one_sentence(tmp_path):
    """A published table beside a part of the data set: no spelling is proposed, and nothing else is hidden."""
    index, info = make_index(IMAGES)
    lines = [f"x,{image},{fold}" for image, fold in FOLD.items() if image != "s1.png"]
    path = write(tmp_path, *lines, *[f"x,TCGA-{number}-01Z,1" for number in range(26)])
    with pytest.raises(UserError) as caught:
        read_table(path, "fold", index, info)
    assert (
        "26 of its 30 entries are no image or group of the data set, which has 5 images: 'TCGA-0-01Z', 'TCGA-1-01Z',"
        " 'TCGA-2-01Z' and 23 more; s1.png of the data set is missing"
    ) in str(caught.value)


def test_columns_may_be_separated_and_written_as_spreadsheets_do(tmp_path):
    index, info = make_index(IMAGES)
    lines = [f"{image};{fold}" for image, fold in FOLD.items()]
    values = read_table(write(tmp_path, *lines, header="Image;Fold"), "fold", index, info)
    assert values == [FOLD[image] for image in index.image]


def test_missing_images_are_named(tmp_path):
    index, info = make_index(IMAGES)
    with pytest.raises(
        UserError, match=r"s1\.png of the data set is missing; s10\.png of the data set is missing"
    ):
        read_table(write(tmp_path, "x,kidney,1", "x,breast,2"), "fold", index, info)


@pytest.mark.parametrize("other", ["1", "val", "Train", "TEST", "", "nan"])
def test_sides_are_not_mixed_with_folds(tmp_path, other):
    index, info = make_index(IMAGES)
    path = write(tmp_path, "x,kidney,train", "x,breast,test", "x,s1,validation", f"x,s10,{other}")
    with pytest.raises(UserError, match=f"line 5: fold is '{other}', not train, validation or test"):
        read_table(path, "fold", index, info)


def test_names_that_mean_two_things_are_ambiguous(tmp_path):
    """An image called as another image's group is; two images that differ in their ending."""
    index, info = make_index({"a.png": ("b", 1), "b.png": ("a", 1), "c.png": ("c", 1), "c.tif": ("c", 2)})
    path = write(tmp_path, "x,a,1", "x,b.png,1", "x,c.png,1", "x,c.tif,2")
    with pytest.raises(UserError, match=r"line 2: 'a' may be a\.png or b\.png"):
        read_table(path, "fold", index, info)
    # `c` is both images' stem and their group: the same in both readings.
    path = write(tmp_path, "x,a.png,1", "x,b.png,2", "x,c,3")
    assert read_table(path, "fold", index, info) == ["1", "2", "3", "3", "3"]
    index, info = make_index({"c.png": ("p", 1), "c.tif": ("q", 2)})
    with pytest.raises(UserError, match=r"'c' may be c\.png or c\.tif"):
        read_table(write(tmp_path, "x,c,3"), "fold", index, info)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "has no column image"),
        (b"image|fold\na.png|1", r"no column image: its columns are image\|fold"),
        (b"image,image,fold\na,a,1", "more than one column image"),
        (b"image,where\na,1", "has no column fold: its columns are image, where"),
        (b"image,fold\na,1,2", "line 2 has 3 cells"),
        (b'image,fold\n"a,1', "cannot be read"),
        (b"image,fold\n\xff\xfe,1", "cannot be read"),
    ],
)
def test_what_is_no_table_is_one_error(tmp_path, content, message):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_table(path, "fold", *make_index(IMAGES))
    assert str(path) in str(caught.value)


def test_pannuke_is_divided_by_tissues_alone(tmp_path):
    """Its patches have no names of images; as earlier versions prepared it, no tissues either."""
    group = (np.arange(7901) % 19).astype(np.int32)
    path = write(tmp_path, *[f"x,{tissue},{number % 3}" for number, tissue in enumerate(PANNUKE.groups)])
    values = read_table(path, "fold", pannuke(group), PANNUKE)
    assert values == [str(number % 3) for number in group]
    with pytest.raises(UserError, match="prepare it again"):
        read_table(path, "fold", pannuke(), PANNUKE)


def test_as_many_faults_as_a_person_reads_are_listed(tmp_path):
    index, info = make_index(patients(40))
    with pytest.raises(UserError, match=r"missing; and \d\d more\n"):
        read_table(write(tmp_path, "x,p0,1"), "fold", index, info)
