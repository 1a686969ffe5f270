import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from tests.data.labels.label_files import drawn, read, square, write_xml


def read_layers(folder, *layers, **more):
    """Layers, or lists of regions."""
    given = [layer if isinstance(layer, dict) else {"regions": layer} for layer in layers]
    return read(write_xml(folder / "a.xml", given, **more))


def test_regions_are_nuclei_in_px_edges(tmp_path):
    annotation = read_layers(tmp_path, [square(10, 20), square(50.4, 60.6, 8.2)])
    expected = np.zeros((100, 100), np.int32)
    expected[20:30, 10:20] = 1
    expected[61:69, 50:59] = 2
    np.testing.assert_array_equal(drawn(annotation).instance, expected)
    assert annotation.microns_per_px == 0.252
    assert (annotation.height, annotation.width, annotation.has_void) == (None, None, False)
    assert annotation.notes == ()


def test_no_region_is_an_empty_annotation(tmp_path):
    for layers in ([], [[]], [[], []]):
        annotation = read_layers(tmp_path, *layers)
        assert annotation.nucleus_count == 0
        assert not drawn(annotation).label.any()


def test_layers_with_distinct_names_are_classes(tmp_path):
    named = [
        {"name": "Epithelial", "regions": [square(0, 0)]},
        {"attribute": ("Lymphocyte", ""), "regions": [square(20, 0), square(40, 0)]},
        {"attribute": ("Description", "Other"), "regions": [square(60, 0)]},
        {"name": "without regions", "regions": []},
    ]
    annotation = read_layers(tmp_path, *named)
    assert annotation.classes == ("Epithelial", "Lymphocyte", "Lymphocyte", "Other")
    assert annotation.notes == ()


@pytest.mark.parametrize("names", [("", ""), ("a", "a"), ("a", "")])
def test_layers_without_distinct_names_are_read_as_one(tmp_path, names):
    layers = [{"name": name, "regions": [square(20 * index, 0)]} for index, name in enumerate(names)]
    annotation = read_layers(tmp_path, *layers)
    assert annotation.classes == (None, None)
    assert annotation.notes[0].startswith("2 layers are read as one, without classes")


def test_a_negative_region_is_cut_out_of_its_layer_alone(tmp_path):
    hole = {"points": square(12, 12, 4), "negative": True}
    layers = [{"name": "a", "regions": [square(10, 10), hole]}, {"name": "b", "regions": [square(13, 13, 2)]}]
    annotation = read_layers(tmp_path, *layers)
    instance = drawn(annotation).instance
    assert (instance == 1).sum() == 100 - 16
    assert (instance == 2).sum() == 4
    assert "1 negative region cut out of the outlines" in annotation.notes


def test_what_encloses_nothing_is_left_out_and_counted(tmp_path):
    regions = [
        square(10, 10),
        [(1, 1), (5, 5)],
        [],
        [(1, 1), (1, 1), (5, 5), (5, 5), (1, 1)],
        [(1, 1), (5, 5), (9, 9)],
        {"points": [(0, 0), (30, 0)], "type": 4},
    ]
    annotation = read_layers(tmp_path, regions)
    assert annotation.nucleus_count == 1
    assert annotation.notes == (
        "3 regions with less than three vertices left out",
        "1 region of arrows or rulers left out",
        "1 outline without an area left out",
    )


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ([{"points": [(0, 0), (9, 9)], "type": 2}], "region 1 is an ellipse"),
        ([{"points": [(0, 0), (9, 9)], "type": 1}], "region 1 is a rectangle"),
        ([{"points": square(0, 0), "type": 9}], "region 1 is of the type '9'"),
        ([square(0, 0), [("x", 0), (1, 1), (2, 0)]], "region 2 has a vertex with X = 'x', Y = '0'"),
        ([[("1,5", "2,5"), (1, 1), (2, 0)]], "decimal point"),
        ([[("1_0", 0), (1, 1), (2, 0)]], "X = '1_0'"),
        ([[("nan", 0), (1, 1), (2, 0)]], "region 1 has the vertex nan, 0"),
        ([[("inf", 0), (1, 1), (2, 0)]], "the vertex inf, 0"),
        ([[("1e300", 0), (1, 1), (2, 0)]], "the vertex 1e+300, 0"),
        ([square(0, 0), square(300, 20)], "region 2 lies outside the image: x 300.0 to 310.0"),
    ],
)
def test_regions_that_are_no_outlines_are_refused_by_number(tmp_path, regions, reason):
    with pytest.raises(UserError) as caught:
        read_layers(tmp_path, regions)
    assert reason in str(caught.value)
    assert "a.xml" in str(caught.value)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a SYSTEM "file:///etc/hostname">'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{BOMB}<Annotations>&c;</Annotations>", "DOCTYPE"),
        (f"{OUTSIDE}<Annotations/>", "DOCTYPE"),
        ("<Annotations><Annotation>", "cannot be parsed"),
        ("<Annotations>&undefined;</Annotations>", "cannot be parsed"),
        ("", "cannot be parsed"),
        ("<html/>", "the XML is of 'html'"),
        ("{}", "cannot be parsed"),
    ],
)
def test_other_xml_is_refused(tmp_path, content, reason):
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(UserError, match=reason):
        read(tmp_path / "a.xml")


@pytest.mark.parametrize("microns", ["", "nan", "0", "-1", "1e9", "a"])
def test_a_scale_that_cannot_be_is_not_offered(tmp_path, microns):
    assert read_layers(tmp_path, [square(0, 0)], microns=microns).microns_per_px is None


@pytest.mark.parametrize("name", ["B0-5698", "CH-5767", "G9-6362"])
def test_slides_of_monuseg_hold_the_nuclei_of_the_patches_cut_from_them(shared, name):
    """The patches were drawn with px counted from their centres, half a pixel from the edges that are meant here."""
    path = shared / "data" / "monuseg_original" / "Annotations" / f"TCGA-{name}-01Z-00-DX1.xml"
    shapes = read(path, 1000, 1000).shapes
    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        rows = np.flatnonzero(data["slide"] == name)
        tops, lefts, patches = data["y"][rows], data["x"][rows], data["instance"][rows]
    overlaps = []
    for top, left, patch in zip(tops, lefts, patches, strict=True):
        number = shapes.numbers_at(np.arange(top, top + 256.0), np.arange(left, left + 256.0))
        for each in np.unique(patch)[1:]:
            is_patch = patch == each
            is_ours = number == np.bincount(number[is_patch]).argmax()
            overlaps.append((is_patch & is_ours).sum() / (is_patch | is_ours).sum())
    assert len(overlaps) > 100
    assert np.mean(overlaps) > 0.99
    assert np.median(overlaps) == 1
