"""A Zarr is read by what its metadata state of axes, scale, levels and channels, or refused with the reason."""

import numpy as np
import pytest
import zarr

from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.source import RefusedImage

MICRONS = {"nanometer": 1e-3, "angstrom": 1e-4, "micrometer": 1.0, "millimeter": 1e3}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([255 - y, 40 + x, 200 - y - x // 2], axis=-1).astype(np.uint8)


def write_image(
    group, pixels, axes, *, levels=((1, {}),), units=None, version="0.5", omero=None, **multiscale
) -> None:
    """An NGFF image.

    Args:
      group: to write into.
      pixels: [H, W, C].
      axes: letters, such as "tczyx".
      levels: step and fields of each dataset.
      units: of the axes, by letter.
      version: of NGFF.
      omero: channels, as OMERO's settings describe them.
      multiscale: more fields of the image.
    """
    datasets = []
    for index, (step, fields) in enumerate(levels):
        level = pixels[::step, ::step]
        order = [("yxc").index(axis) for axis in axes if axis in "yxc"]
        level = level.transpose(order) if len(order) == 3 else level[..., 0].transpose(order)
        shape = iter(level.shape)
        full = [next(shape) if axis in "yxc" else 1 for axis in axes]
        group.create_array(str(index), data=np.ascontiguousarray(level.reshape(full)))
        datasets.append({"path": str(index), **fields})
    described = [{"name": axis, **({"unit": units[axis]} if axis in (units or {}) else {})} for axis in axes]
    image = {"multiscales": [{"axes": described, "datasets": datasets, **multiscale}]}
    if omero is not None:
        image["omero"] = {"channels": omero}
    if version == "0.5":
        group.attrs["ome"] = {"version": version, **image}
    else:
        image["multiscales"][0]["version"] = version
        group.attrs.update(image)


def scale(*values):
    return {"type": "scale", "scale": list(values)}


def shift(*values):
    return {"type": "translation", "translation": list(values)}


def read(path):
    source = open_source(path)
    return source.read(0, 0, source.height, source.width), source


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yxc", "cyx", "tczyx", "xyc", "cxy"])
@pytest.mark.parametrize("unit", MICRONS)
def test_scale_is_the_product_of_both_levels_along_the_named_axes(version, axes, unit, picture, tmp_path):
    """x and y are told apart: another axis has another scale, which must not come in."""
    own = [0.5 / MICRONS[unit] if axis in "xy" else 7.0 for axis in axes]
    shared = [0.5 if axis in "xy" else 3.0 for axis in axes]
    own_list = [scale(*own), shift(*[9.0] * len(axes))]
    write_image(
        zarr.create_group(tmp_path / "a.ome.zarr"),
        picture,
        axes,
        version=version,
        levels=[(1, {"coordinateTransformations": own_list})],
        units={"x": unit, "y": unit},
        coordinateTransformations=[{"type": "identity"}, scale(*shared)],
    )
    pixels, source = read(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(pixels, picture)
    assert source.resolution.microns_per_px == pytest.approx(0.25)


def test_levels_come_in_any_order_and_the_largest_has_its_own_scale(picture, tmp_path):
    levels = [(step, {"coordinateTransformations": [scale(step / 4, step / 4, 1)]}) for step in (4, 1, 2)]
    units = dict.fromkeys("xy", "micrometer")
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), picture, "yxc", levels=levels, units=units)
    pixels, source = read(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(pixels, picture)
    np.testing.assert_array_equal(source.read_overview(60), picture[::2, ::2])
    assert source.resolution.microns_per_px == 0.25


@pytest.mark.parametrize("where", ["dataset", "image"])
@pytest.mark.parametrize(
    "transformation",
    [
        {"type": "affine", "affine": [[1, 0, 0], [0, 1, 0]]},
        {"type": "rotation", "rotation": [[0, 1], [1, 0]]},
        {"type": "scale", "path": "scales"},
        scale(0.5, 0.5),
        scale(0.5, -0.5, 1.0),
        scale(0.5, "x", 1.0),
        shift(0.0, float("inf"), 0.0),
        {"scale": [1, 1, 1]},
        "scale",
    ],
)
def test_transformations_that_are_not_understood_are_refused(where, transformation, picture, tmp_path):
    group = zarr.create_group(tmp_path / "a.ome.zarr", zarr_format=2)
    fields = {"coordinateTransformations": [transformation]}
    own, shared = (fields, {}) if where == "dataset" else ({}, fields)
    write_image(group, picture, "yxc", version="0.4", levels=[(1, own)], **shared)
    with pytest.raises(RefusedImage, match=r"transformation|understood"):
        open_source(tmp_path / "a.ome.zarr")


@pytest.mark.parametrize("units", [{}, {"x": "parsec", "y": "parsec"}, {"x": "micrometer"}])
def test_a_scale_without_a_known_unit_is_no_resolution(units, picture, tmp_path):
    levels = [(1, {"coordinateTransformations": [scale(0.5, 0.5, 1.0)]})]
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), picture, "yxc", levels=levels, units=units)
    source = open_source(tmp_path / "a.ome.zarr")
    assert source.resolution is None
    assert any("parsec" in note for note in source.notes()) == ("parsec" in units.values())


def channels(*labels, **fields):
    return [{"label": label, **fields} for label in labels]


@pytest.mark.parametrize(
    ("described", "order"),
    [
        (channels("Red", "Green", "Blue"), (0, 1, 2)),
        (channels("blue", "green", "red"), (2, 1, 0)),
        (
            [
                {"label": f"Channel {i}", "color": color}
                for i, color in enumerate(("00FF00", "0000FF", "FF0000"))
            ],
            (1, 2, 0),
        ),
        (channels("Channel 0", "Channel 1", "Channel 2", color="FFFFFF"), (0, 1, 2)),
    ],
)
def test_channels_are_put_in_the_order_that_is_stated(described, order, picture, tmp_path):
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), picture[..., list(order)], "cyx", omero=described)
    np.testing.assert_array_equal(read(tmp_path / "a.ome.zarr")[0], picture)


@pytest.mark.parametrize(
    "described",
    [
        channels("DAPI", "FITC", "TRITC"),
        channels("nuclei", "membrane", "cytosol"),
        channels("Red", "Green"),
        channels("0", "1", "2", emissionWave=461),
    ],
)
def test_channels_that_are_no_colours_are_refused(described, picture, tmp_path):
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), picture, "cyx", omero=described)
    with pytest.raises(RefusedImage, match=r"channel|fluorescence"):
        open_source(tmp_path / "a.ome.zarr")


@pytest.mark.parametrize(
    ("high", "white"), [(4095, 4095), (1023.0, 1023), (65535, 65535), (3870, 65535), (255, 65535)]
)
def test_a_window_of_whole_bits_sets_the_scale(high, white, picture, tmp_path):
    pixels = np.rint(picture * (min(white, 1023) / 255)).astype(np.uint16)
    described = channels("Red", "Green", "Blue", window={"min": 0, "max": high, "start": 5, "end": 100})
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), pixels, "cyx", omero=described)
    np.testing.assert_array_equal(read(tmp_path / "a.ome.zarr")[0], np.rint(pixels * (255 / white)))


@pytest.mark.parametrize("count", [2, 4, 5])
def test_other_counts_of_channels_are_refused(count, picture, tmp_path):
    pixels = np.dstack([picture, picture])[..., :count]
    zarr.create_array(tmp_path / "hwc.zarr", data=pixels)
    zarr.create_array(tmp_path / "chw.zarr", data=pixels.transpose(2, 0, 1).copy())
    write_image(zarr.create_group(tmp_path / "a.ome.zarr"), pixels, "cyx")
    for name in ("hwc.zarr", "chw.zarr", "a.ome.zarr"):
        with pytest.raises(RefusedImage):
            open_source(tmp_path / name)


@pytest.mark.parametrize("shape", [(96, 128), (96, 128, 1), (1, 96, 128)])
def test_one_channel_is_grey(shape, picture, tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=picture[..., 0].reshape(shape).copy())
    np.testing.assert_array_equal(read(tmp_path / "a.zarr")[0], picture[..., :1].repeat(3, axis=-1))


@pytest.mark.parametrize(
    ("names", "is_read"), [("cyx", True), ("zyx", False), ("tyx", False), ("abc", False)]
)
def test_names_of_dimensions_decide_before_shapes_do(names, is_read, picture, tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", data=picture.transpose(2, 0, 1).copy(), dimension_names=list(names)
    )
    if is_read:
        np.testing.assert_array_equal(read(tmp_path / "a.zarr")[0], picture)
        return
    with pytest.raises(RefusedImage, match=r"stack|dimensions"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("names", ["cxy", "yxc", "cyt", "cyx", "CYX", "cab"])
def test_axes_of_the_metadata_that_the_array_contradicts_are_refused(version, names, picture, tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2 if version == "0.4" else 3)
    write_image(group, picture, "cyx", version=version)
    if version == "0.4":
        group["0"].attrs["_ARRAY_DIMENSIONS"] = list(names)
    else:
        del group["0"]
        pixels = np.ascontiguousarray(picture.transpose(2, 0, 1))
        group.create_array("0", data=pixels, dimension_names=list(names))
    if names in ("cyx", "CYX", "cab"):
        np.testing.assert_array_equal(read(tmp_path / "a.zarr")[0], picture)
    else:
        with pytest.raises(RefusedImage, match="the array itself"):
            open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize("change", [lambda level: level.astype(np.uint16), lambda level: level[:1]])
def test_levels_of_different_kinds_are_refused(change, picture, tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    write_image(group, picture, "cyx", levels=((1, {}), (2, {})))
    level = group["1"][:]
    del group["1"]
    group.create_array("1", data=change(level))
    with pytest.raises(RefusedImage, match="different kinds"):
        open_source(tmp_path / "a.zarr")


def test_of_several_images_the_slide_is_taken_and_equals_are_refused(picture, tmp_path):
    large = np.kron(picture, np.ones((6, 6, 1), np.uint8))
    for name, second in (("slide.zarr", large), ("equals.zarr", picture[:90])):
        root = zarr.create_group(tmp_path / name)
        root.attrs["bioformats2raw.layout"] = 3
        write_image(root.create_group("0"), picture, "cyx")
        write_image(root.create_group("1"), second, "cyx")
    np.testing.assert_array_equal(read(tmp_path / "slide.zarr")[0], large)
    with pytest.raises(RefusedImage, match="equal standing"):
        open_source(tmp_path / "equals.zarr")
    root = zarr.create_group(tmp_path / "named.zarr")
    root.attrs["bioformats2raw.layout"] = 3
    write_image(root.create_group("0"), picture, "cyx", name="Macro image")
    write_image(root.create_group("1"), picture[:90], "cyx", name="slide")
    np.testing.assert_array_equal(read(tmp_path / "named.zarr")[0], picture[:90])


def test_the_ome_xml_of_a_bioformats2raw_store_tells_bits_names_scale_and_objective(picture, tmp_path):
    root = zarr.create_group(tmp_path / "a.zarr")
    root.attrs["bioformats2raw.layout"] = 3
    twelve = np.rint(picture * (4095 / 255)).astype(np.uint16)
    write_image(root.create_group("0"), picture[:90], "tczyx", version="0.4")
    write_image(root.create_group("1"), twelve, "tczyx", version="0.4")
    images = "".join(
        f'<Image ID="Image:{i}" Name="{name}"><ObjectiveSettings ID="Objective:{i}"/><Pixels ID="Pixels:{i}"'
        f' Type="uint16" DimensionOrder="XYCZT" SizeX="128" SizeY="{90 + 6 * i}" SizeC="3" SizeZ="1" SizeT="1"'
        f' PhysicalSizeX="{i / 2}" PhysicalSizeY="{i / 2}" SignificantBits="{11 + i}"><MetadataOnly/></Pixels></Image>'
        for i, name in enumerate(("label image", "slide"))
    )
    objectives = "".join(f'<Objective ID="Objective:{i}" NominalMagnification="{20 * i}"/>' for i in range(2))
    (tmp_path / "a.zarr" / "OME").mkdir()
    (tmp_path / "a.zarr" / "OME" / "METADATA.ome.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f"<Instrument>{objectives}</Instrument>{images}</OME>"
    )
    pixels, source = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(pixels, picture)
    assert (source.resolution.microns_per_px, source.objective_power) == (0.5, 20.0)
    file = tmp_path / "a.zarr" / "OME" / "METADATA.ome.xml"
    file.write_text(file.read_text().replace('SizeX="128"', 'SizeX="127"'))
    with pytest.raises(RefusedImage, match="127 px"):
        open_source(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": "0.6"}, "version"),
        ({"image-label": {}}, "labels"),
        ({"multiscales": [{}, {}]}, "2 images"),
        ({"multiscales": [{"axes": ["y", "x", "c"]}]}, "understood"),
        (
            {"multiscales": [{"axes": ["y", "x", "c"], "datasets": [{"path": "../other.zarr"}]}]},
            "other.zarr|path",
        ),
    ],
)
def test_metadata_that_are_not_understood_are_refused(changed, reason, picture, tmp_path):
    zarr.create_array(tmp_path / "other.zarr", data=picture)
    group = zarr.create_group(tmp_path / "a.ome.zarr")
    write_image(group, picture, "yxc")
    group.attrs["ome"] = {**group.attrs["ome"], **changed}
    with pytest.raises(RefusedImage, match=reason):
        open_source(tmp_path / "a.ome.zarr")
