import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.sources.folder import cut
from nucseg_jax.data.sources.folder.source import open_folder
from nucseg_jax.data.sources.patch import OpenedSource
from nucseg_jax.images.resample import ModelView
from nucseg_jax.images.source import array_source
from tests.data.sources import lab


def stitched(source: OpenedSource, field: str) -> dict[str, np.ndarray]:
    """An array of each image from its patches; what no patch covers is void."""
    px = source.info.patch_px
    patches = list(source.patches())
    assert len(patches) == source.patch_count
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(patch.image_name for patch in patches):
        its = [patch for patch in patches if patch.image_name == name]
        size = max(patch.top for patch in its) + px, max(patch.left for patch in its) + px
        whole = np.full(size + getattr(its[0], field).shape[2:], VOID_LABEL, getattr(its[0], field).dtype)
        for patch in its:
            whole[patch.top : patch.top + px, patch.left : patch.left + px] = getattr(patch, field)
        found[name] = whole
    return found


def write_lab(folder, *, side=300, microns=0.5, names="abc") -> dict[str, np.ndarray]:
    """Images of known nuclei, labelled as instance-id TIFFs, but b as GeoJSON and c as ImageScope XML."""
    ids = {f"{name}.png": lab.nuclei(side, side - 7, seed=seed) for seed, name in enumerate(names)}
    for name, its in ids.items():
        lab.save_picture(folder / "images" / name, lab.picture(its))
    (folder / "labels").mkdir()
    for name in set(names) - {"b", "c"}:
        tifffile.imwrite(folder / "labels" / f"{name}.tif", ids[f"{name}.png"].astype(np.uint32))
    lab.write_geojson(folder / "labels" / "b.geojson", ids["b.png"])
    lab.write_xml(folder / "labels" / "c.xml", ids["c.png"], microns_per_px=microns)
    (folder / "dataset.yaml").write_text(f"microns_per_px: {microns}\n")
    return ids


def check_shapes(ids: np.ndarray, label: np.ndarray, scale: float) -> None:
    """Every nucleus keeps area and centroid at the scale of the patches."""
    numbers = np.unique(ids)[1:]
    pieces, count = ndimage.label(label == 1)
    assert count == len(numbers)
    centre = (np.array(ndimage.center_of_mass(ids > 0, ids, numbers)) + 0.5) * scale
    nearest = pieces[tuple(np.floor(centre).astype(int).T)]
    assert len(set(nearest)) == count
    area = ndimage.sum_labels(ids > 0, ids, numbers) * scale**2
    np.testing.assert_allclose(ndimage.sum_labels(label == 1, pieces, nearest), area, rtol=0.01)
    found = np.array(ndimage.center_of_mass(pieces > 0, pieces, nearest)) + 0.5
    np.testing.assert_allclose(found, centre, atol=0.5)


def check_lab(folder, **drawn) -> None:
    ids = write_lab(folder, **drawn)
    source = open_folder(lab.folder_config(folder))
    labels = stitched(source, "label")
    assert source.info.classes == ()
    for name, its in ids.items():
        check_shapes(its, labels[name], 2.0)


def test_areas_and_centroids_of_every_format_are_kept_at_the_scale_of_the_patches(tmp_path):
    check_lab(tmp_path)


@pytest.mark.long
def test_areas_and_centroids_of_twelve_images_of_1000_px(tmp_path):
    check_lab(tmp_path, side=1000, names="abcdefghijkl")


def test_images_are_those_of_the_whole_resampled_image_reflected_beyond_its_edges(tmp_path):
    write_lab(tmp_path)
    source = open_folder(lab.folder_config(tmp_path))
    label, image = stitched(source, "label")["a.png"], stitched(source, "image")["a.png"]
    whole = ModelView(array_source(lab.picture(lab.nuclei(300, 293))), 600, 586).read(0, 0, 600, 586)
    assert label.shape == (640, 640)
    np.testing.assert_array_equal(image, np.pad(whole, ((0, 40), (0, 54), (0, 0)), mode="reflect"))
    assert (label[600:] == VOID_LABEL).all()
    assert (label[:, 586:] == VOID_LABEL).all()
    assert not (label[:600, :586] == VOID_LABEL).any()
    assert source.info.has_void


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 70), (65, 129), (64, 63)])
def test_any_size_is_reflected_as_the_whole_image_would_be(tmp_path, height, width):
    ids = np.ones((height, width), np.uint8)
    ids[0, 0] = 0
    ids[-1, -1] = 1
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    lab.save_picture(tmp_path / "images" / "a.png", picture)
    lab.save_picture(tmp_path / "labels" / "a.png", ids)
    if height * width == 1:
        lab.save_picture(tmp_path / "images" / "b.png", picture.repeat(2, axis=0))
        lab.save_picture(tmp_path / "labels" / "b.png", np.array([[0], [1]], np.uint8))
    source = open_folder(lab.folder_config(tmp_path, image_microns_per_px=0.25))
    image = stitched(source, "image")["a.png"]
    over = [(-height) % 64, (-width) % 64]
    np.testing.assert_array_equal(
        image, np.pad(picture, ((0, over[0]), (0, over[1]), (0, 0)), mode="reflect")
    )


def test_outlines_come_back_as_the_pixels_they_were_drawn_around(tmp_path):
    ids = lab.nuclei(256, 192)
    lab.save_picture(tmp_path / "images" / "a.png", lab.picture(ids))
    lab.write_geojson(tmp_path / "labels" / "a.geojson", ids)
    (tmp_path / "dataset.yaml").write_text("microns_per_px: 0.25")
    source = open_folder(lab.folder_config(tmp_path))
    assert not source.info.has_void
    for patch in source.patches():
        own = ids[patch.top : patch.top + 64, patch.left : patch.left + 64]
        assert patch.instance.dtype == np.uint16
        np.testing.assert_array_equal(patch.instance > 0, own > 0)
        np.testing.assert_array_equal(patch.label, own > 0)
        # The same pixels together, each nucleus one number without gaps.
        pairs = np.unique(np.stack([patch.instance.ravel(), own.ravel()]), axis=1)
        assert len(pairs[0]) == len(set(pairs[0])) == len(set(pairs[1]))
        assert sorted(set(pairs[0])) == list(range(len(set(pairs[0]) | {0})))


def test_what_fills_no_patch_is_dropped_if_asked_and_told(tmp_path):
    write_lab(tmp_path)
    source = open_folder(lab.folder_config(tmp_path, remainder="drop"))
    assert source.patch_count == 3 * 9 * 9
    assert not source.info.has_void
    whole = 3 * 600 * 586
    share = 1 - 3 * 576 * 576 / whole
    assert any(f"{share:.1%}" in line and "left out" in line for line in source.described)


def test_patches_are_read_strip_by_strip(tmp_path, monkeypatch):
    write_lab(tmp_path)
    heights = []

    class Watched(ModelView):
        def read(self, top, left, height, width):
            heights.append(height)
            return super().read(top, left, height, width)

    monkeypatch.setattr(cut, "ModelView", Watched)
    assert sum(1 for _ in open_folder(lab.folder_config(tmp_path)).patches()) == 300
    assert len(heights) == 30
    assert max(heights) <= 64


def write_one(folder, *, names=None, yaml="microns_per_px: 0.25\n") -> np.ndarray:
    """One image of 128 x 192 px with outlines, and classes by id."""
    ids = lab.nuclei(128, 192)
    lab.save_picture(folder / "images" / "a.png", lab.picture(ids))
    lab.write_geojson(folder / "labels" / "a.geojson", ids, names)
    (folder / "dataset.yaml").write_text(yaml)
    return ids


def test_classes_are_numbered_in_the_declared_order(tmp_path):
    ids = lab.nuclei(128, 192)
    first, *others = np.unique(ids)[1:].tolist()
    names = {first: "tumour", **dict.fromkeys(others, "lymphocyte")}
    write_one(tmp_path, names=names, yaml="microns_per_px: 0.25\nclasses: [stroma, lymphocyte, tumour]\n")
    source = open_folder(lab.folder_config(tmp_path))
    assert source.info.class_names == ("stroma", "lymphocyte", "tumour")
    label = stitched(source, "label")["a.png"]
    np.testing.assert_array_equal(label, np.where(ids == first, 3, np.where(ids > 0, 2, 0)))
    assert any("1 stroma (0 nuclei)" in line and "3 tumour (1 nucleus)" in line for line in source.described)


def test_undeclared_names_are_sorted_and_told(tmp_path):
    ids = lab.nuclei(128, 192)
    names = {each: "b" if index % 2 else "a" for index, each in enumerate(np.unique(ids)[1:].tolist())}
    write_one(tmp_path, names=names)
    source = open_folder(lab.folder_config(tmp_path))
    assert source.info.class_names == ("a", "b")
    assert any("names that the labels carry" in line for line in source.described)


def test_outlines_of_a_model_without_classes_are_nuclei_without_classes(tmp_path):
    ids = lab.nuclei(128, 192)
    write_one(tmp_path, names=dict.fromkeys(np.unique(ids).tolist(), "Nucleus"))
    source = open_folder(lab.folder_config(tmp_path))
    assert source.info.classes == ()
    np.testing.assert_array_equal(stitched(source, "label")["a.png"], ids > 0)


def test_nuclei_without_a_class_take_the_one_that_is_named_for_them(tmp_path):
    ids = lab.nuclei(128, 192)
    first, second, *others = np.unique(ids)[1:].tolist()
    names = {**dict.fromkeys(others, "tumour"), second: "Nucleus"}
    yaml = "microns_per_px: 0.25\nclasses: [other, tumour]\n"
    write_one(tmp_path, names=names, yaml=yaml)
    with pytest.raises(
        UserError,
        match=r"a\.geojson: 1 nucleus without a class, in a data set with the classes other, tumour",
    ):
        open_folder(lab.folder_config(tmp_path))
    (tmp_path / "dataset.yaml").write_text(yaml + "unclassified: other\n")
    label = stitched(open_folder(lab.folder_config(tmp_path)), "label")["a.png"]
    np.testing.assert_array_equal(label, np.where(np.isin(ids, (first, second)), 1, np.where(ids > 0, 2, 0)))


def test_a_class_map_gives_each_nucleus_the_class_of_most_of_its_pixels(tmp_path):
    ids = lab.nuclei(128, 192)
    numbers = np.unique(ids)[1:].tolist()
    lab.save_picture(tmp_path / "images" / "a.png", lab.picture(ids))
    lab.save_picture(tmp_path / "labels" / "a.png", ids)
    x = np.arange(192) + np.zeros((128, 1))
    half = np.zeros(ids.shape, bool)
    for number in numbers:
        # Two fifths of each nucleus are of the other class.
        inside = ids == number
        half |= inside & (x < np.quantile(x[inside], 0.4))
    wanted = 1 + (ids % 4 == 1)
    lab.save_picture(
        tmp_path / "classes" / "a.png",
        np.where(ids > 0, np.where(half, 3 - wanted, wanted), 0).astype(np.uint8),
    )
    (tmp_path / "dataset.yaml").write_text("microns_per_px: 0.25\nclasses: [one, two]\n")
    label = stitched(open_folder(lab.folder_config(tmp_path)), "label")["a.png"]
    np.testing.assert_array_equal(label, np.where(ids > 0, wanted, 0))


def test_beyond_the_regions_nothing_counts_and_patches_without_any_are_left_out(tmp_path):
    ids = write_one(tmp_path)
    inside = np.zeros(ids.shape, np.uint8)
    inside[10:60, 20:150] = 255
    lab.save_picture(tmp_path / "regions" / "a.png", inside)
    source = open_folder(lab.folder_config(tmp_path))
    assert source.info.has_void
    assert [(patch.top, patch.left) for patch in source.patches()] == [(0, 0), (0, 64), (0, 128)]
    label = stitched(source, "label")["a.png"]
    np.testing.assert_array_equal(label, np.where(inside[:64] == 0, VOID_LABEL, ids[:64] > 0))
    assert all((patch.instance[patch.label == VOID_LABEL] == 0).all() for patch in source.patches())
    assert any("3 patches left out: void all over" in line for line in source.described)


@pytest.mark.parametrize(
    ("place", "region"), [("labels", "Region*"), ("regions", "Region*"), ("regions", "tumour")]
)
def test_regions_of_qupath_mark_what_is_annotated_and_what_is_not(tmp_path, place, region):
    ids = write_one(tmp_path)
    path = tmp_path / "labels" / "a.geojson"
    regions = [
        lab.feature(shapely.box(20, 10, 150, 100), region),
        lab.feature(shapely.box(40, 20, 60, 50), "Ignore*"),
    ]
    nuclei = json.loads(path.read_text())["features"]
    lab.write_features(tmp_path / place / "a.geojson", [*nuclei, *regions] if place == "labels" else regions)
    is_void = np.ones(ids.shape, bool)
    is_void[10:100, 20:150] = False
    is_void[20:50, 40:60] = True
    label = stitched(open_folder(lab.folder_config(tmp_path)), "label")["a.png"]
    np.testing.assert_array_equal(label, np.where(is_void, VOID_LABEL, ids > 0))


def test_sixteen_bits_and_pyramids_are_read_as_images_are_elsewhere(tmp_path):
    ids = write_one(tmp_path)
    picture = lab.picture(ids)
    (tmp_path / "images" / "a.png").unlink()
    with tifffile.TiffWriter(tmp_path / "images" / "a.tif") as file:
        file.write(picture.astype(np.uint16) * 257, tile=(64, 64), subifds=1, photometric="rgb")
        file.write(picture[::2, ::2].astype(np.uint16) * 257, tile=(64, 64), subfiletype=1, photometric="rgb")
    source = open_folder(lab.folder_config(tmp_path))
    np.testing.assert_array_equal(stitched(source, "image")["a.tif"], picture)


def test_what_only_the_pixels_show_is_told_after_they_were_read(tmp_path):
    ids = write_one(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    # A few of 65,536 levels, in the middle.
    pale = 140 * 257 + lab.picture(ids).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images" / "a.tif", pale, photometric="rgb")
    source = open_folder(lab.folder_config(tmp_path))
    assert source.notes() == ()
    assert sum(1 for _ in source.patches()) == 6
    (note,) = source.notes()
    assert note.startswith("a.tif: ")
    assert len(list(source.patches())) == 6
    assert source.notes() == (note,)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_fewer_bits_than_the_file_states_are_refused(tmp_path, bits):
    ids = write_one(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    picture = lab.picture(ids).astype(np.uint32)
    picture[0] = 255
    dark = (picture * ((1 << bits) - 1) // 255).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images" / "a.tif", dark, photometric="rgb")
    source = open_folder(lab.folder_config(tmp_path))
    with pytest.raises(UserError, match=r"images/a\.tif: its brightest value is \d+ of 255"):
        list(source.patches())


def test_equal_files_and_settings_have_equal_origins_and_others_have_others(tmp_path):
    write_one(tmp_path)
    settings = lab.folder_config(tmp_path)
    origin = open_folder(settings).origin
    assert origin["kind"] == "folder"
    assert json.loads(json.dumps(origin)) == open_folder(settings).origin
    assert open_folder(lab.folder_config(tmp_path, remainder="drop")).origin != origin
    (tmp_path / "groups.csv").write_text("image,group\na,p1\n")
    assert open_folder(settings).origin != origin


def test_groups_divisions_and_texts_reach_the_description(tmp_path):
    write_lab(tmp_path)
    with (tmp_path / "dataset.yaml").open("a") as file:
        file.write("name: ovary\nlicence: CC0\ncitation: us\n")
    (tmp_path / "groups.csv").write_text("image,group,division\na,p2,train\nb,p1,test\nc,p2,train\n")
    source = open_folder(lab.folder_config(tmp_path))
    info = source.info
    assert (info.name, info.licence, info.citation) == ("ovary", "CC0", "us")
    assert info.groups == ("p1", "p2")
    assert info.divisions == ("train", "test")
    found = {(patch.image_name, info.groups[patch.group], patch.division) for patch in source.patches()}
    assert found == {("a.png", "p2", "train"), ("b.png", "p1", "test"), ("c.png", "p2", "train")}


def _save_label(folder, values) -> None:
    (folder / "labels" / "a.geojson").unlink()
    tifffile.imwrite(folder / "labels" / "a.tif", values)


def _rewrite(folder, name: str, change: Callable[[bytes], bytes]) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 3
    return exif


def _write_xml(folder, text: str) -> None:
    (folder / "labels" / "a.geojson").unlink()
    (folder / "labels" / "a.xml").write_text(text)


def _square(points) -> dict:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [points]},
        "properties": {"objectType": "detection"},
    }


IDS = lab.nuclei(128, 192)
HOSTILE: dict[str, tuple[Callable, str]] = {
    "missing label": (lambda folder: (folder / "labels" / "a.geojson").rename(folder / "x"), r"a\.png"),
    "extra label": (lambda folder: lab.save_picture(folder / "labels" / "b.png", IDS), r"b\.png"),
    "other size": (lambda folder: _save_label(folder, IDS[:-1]), r"a\.tif.*127 x 192"),
    "transposed": (
        lambda folder: _save_label(folder, np.ascontiguousarray(IDS.T)),
        r"(?s)a\.tif.*transposed",
    ),
    "RGB label": (lambda folder: _save_label(folder, lab.picture(IDS).astype(np.uint16)), r"a\.tif"),
    "fractions": (lambda folder: _save_label(folder, IDS.astype(np.float32) / 2), r"a\.tif.*fractions"),
    "negative": (lambda folder: _save_label(folder, -IDS.astype(np.int32)), r"a\.tif.*negative"),
    "no nucleus": (lambda folder: _save_label(folder, 0 * IDS), "no label holds a nucleus"),
    "ids of distant pieces": (
        lambda folder: _save_label(folder, (IDS > 0) * (1 + np.arange(192) % 96 // 4).astype(np.uint16)),
        r"a\.tif",
    ),
    "two pages": (
        lambda folder: _save_label(folder, np.stack([IDS, IDS, IDS, IDS, IDS])),
        r"a\.tif",
    ),
    "outside": (
        lambda folder: lab.write_features(
            folder / "labels" / "a.geojson", [_square([[900, 900], [950, 900], [950, 950], [900, 900]])]
        ),
        r"a\.geojson",
    ),
    "empty list": (
        lambda folder: (folder / "labels" / "a.geojson").write_text("[]"),
        r"no label holds a nucleus|a\.geojson",
    ),
    "no JSON": (lambda folder: (folder / "labels" / "a.geojson").write_text("[{]"), r"a\.geojson"),
    "undeclared class": (
        lambda folder: (
            write_one(folder, names=dict.fromkeys(np.unique(IDS).tolist(), "tumor")),
            (folder / "dataset.yaml").write_text("microns_per_px: 0.25\nclasses: [tumour]"),
        ),
        r"a\.geojson.*'tumor'.*did you mean tumour",
    ),
    "class without a name": (
        lambda folder: (
            _save_label(folder, IDS),
            lab.save_picture(folder / "classes" / "a.png", 2 * (IDS > 0).astype(np.uint8)),
        ),
        r"a\.tif.*class 2",
    ),
    "class beyond the declared": (
        lambda folder: (
            _save_label(folder, IDS),
            lab.save_picture(folder / "classes" / "a.png", 2 * (IDS > 0).astype(np.uint8)),
            (folder / "dataset.yaml").write_text("microns_per_px: 0.25\nclasses: [tumour]"),
        ),
        r"a\.tif.*class 2",
    ),
    "class map of another size": (
        lambda folder: lab.save_picture(folder / "classes" / "a.png", IDS[:64].astype(np.uint8)),
        r"classes/a\.png",
    ),
    "classes twice": (
        lambda folder: (
            write_one(folder, names=dict.fromkeys(np.unique(IDS).tolist(), "tumour")),
            lab.save_picture(folder / "classes" / "a.png", (IDS > 0).astype(np.uint8)),
        ),
        r"both .*a\.geojson .*and .*classes/a\.png give classes",
    ),
    "regions of another size": (
        lambda folder: lab.save_picture(folder / "regions" / "a.png", np.ones((64, 64), np.uint8)),
        r"regions/a\.png",
    ),
    "regions without any": (
        lambda folder: lab.write_features(folder / "regions" / "a.geojson", []),
        r"regions/a\.geojson",
    ),
    "nothing annotated": (
        lambda folder: lab.save_picture(folder / "regions" / "a.png", np.zeros((128, 192), np.uint8)),
        "every patch is void",
    ),
    "DOCTYPE": (
        lambda folder: _write_xml(folder, '<!DOCTYPE a [<!ENTITY b "c">]><Annotations/>'),
        r"a\.xml.*DOCTYPE",
    ),
    "no resolution": (
        lambda folder: (folder / "dataset.yaml").unlink(),
        r"a\.png: nothing states how many microns",
    ),
    "two resolutions": (
        lambda folder: (
            (folder / "labels" / "a.geojson").unlink(),
            lab.write_xml(folder / "labels" / "a.xml", IDS, microns_per_px=0.5),
        ),
        r"a\.png: 0\.25 microns per px by dataset\.yaml, 0\.5 by its label file",
    ),
    "image cut off in its header": (
        lambda folder: _rewrite(folder, "images/a.png", lambda data: data[:20]),
        r"images/a\.png",
    ),
    "image that is no image": (
        lambda folder: _rewrite(folder, "images/a.png", lambda data: b"GIF89a" + data),
        r"images/a\.png",
    ),
    "image of absurd size": (
        lambda folder: _rewrite(
            folder, "images/a.png", lambda data: data[:16] + struct.pack(">II", 400_000, 400_000) + data[24:]
        ),
        r"images/a\.png",
    ),
    "class of two lines": (
        lambda folder: write_one(folder, names=dict.fromkeys(np.unique(IDS).tolist(), "tumour\n")),
        r"a class is 'tumour\\n'",
    ),
    "image that is to be turned": (
        lambda folder: (
            (folder / "images" / "a.png").unlink(),
            Image.fromarray(lab.picture(IDS)).save(folder / "images" / "a.jpg", exif=_turned()),
        ),
        r"images/a\.jpg is to be turned",
    ),
    "masks of two values": (
        lambda folder: (
            _save_label(folder, np.where(IDS, 1, 0).astype(np.uint8)),
            lab.save_picture(folder / "images" / "b.png", lab.picture(IDS)),
            lab.save_picture(folder / "labels" / "b.png", np.where(IDS, 2, 0).astype(np.uint8)),
        ),
        r"1 in .*labels/a\.tif and 2 in .*labels/b\.png",
    ),
    "link to nowhere": (
        lambda folder: (
            (folder / "images" / "a.png").unlink(),
            (folder / "images" / "a.png").symlink_to("nowhere"),
        ),
        r"images/a\.png",
    ),
    "group twice": (
        lambda folder: (folder / "groups.csv").write_text("image,group\na,p1\na.png,p2\n"),
        r"groups\.csv: a\.png stands there twice",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_odd_input_is_one_error_that_names_the_file_before_any_patch(tmp_path, case):
    write_one(tmp_path)
    change, told = HOSTILE[case]
    change(tmp_path)
    with pytest.raises(UserError, match=told):
        open_folder(lab.folder_config(tmp_path))


def test_an_image_smaller_than_a_patch_is_refused_where_remainders_are_dropped(tmp_path):
    write_one(tmp_path)
    with pytest.raises(UserError, match=r"a\.png has 128 x 192 px at 0\.25 microns, less than a patch"):
        open_folder(lab.folder_config(tmp_path, patch_px=256, remainder="drop"))


def test_damage_behind_a_header_names_the_file_when_its_patches_are_read(tmp_path):
    write_one(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    lab.save_picture(tmp_path / "images" / "a.jpg", lab.picture(IDS))
    _rewrite(tmp_path, "images/a.jpg", lambda data: data[: len(data) // 2])
    source = open_folder(lab.folder_config(tmp_path))
    with pytest.raises(UserError, match=r"images/a\.jpg"):
        list(source.patches())


def test_files_exchanged_after_the_first_look_are_not_cut(tmp_path):
    write_one(tmp_path)
    source = open_folder(lab.folder_config(tmp_path))
    lab.save_picture(tmp_path / "images" / "a.png", lab.picture(IDS[:64]))
    with pytest.raises(UserError, match=r"a\.png"):
        list(source.patches())


@pytest.mark.parametrize(("stated", "is_same"), [(0.2525, True), (0.2425, False), (0.26, False)])
def test_resolutions_may_differ_by_less_than_three_percent(tmp_path, stated, is_same):
    write_one(tmp_path)
    settings = lab.folder_config(tmp_path, image_microns_per_px=stated)
    if is_same:
        assert stitched(open_folder(settings), "image")["a.png"].shape == (128, 192, 3)
    else:
        with pytest.raises(UserError, match=r"data\.image_microns_per_px"):
            open_folder(settings)
