"""Every kind of file comes out as 8-bit RGB by region, or is refused with the reason."""

import io
import json
import math
import struct
import zlib

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from nucseg_jax.images import source as source_module
from nucseg_jax.images.open_source import open_source, refused, stem
from nucseg_jax.images.pixels import as_rgb
from nucseg_jax.images.resample import ModelView, ToSourceGrid
from nucseg_jax.images.resolution import microns_of, model_size, plausible
from nucseg_jax.images.source import RefusedImage, array_source, pyramid_overview
from nucseg_jax.inference.output.journal import job_key


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth, so that JPEG keeps it."""
    y, x = np.mgrid[0:96, 0:130]
    return np.stack([y * 2, x, 255 - y - x // 2], axis=-1).astype(np.uint8)


def read_all(source) -> np.ndarray:
    """In uneven pieces, as strips are read."""
    rows = []
    for top in range(0, source.height, 37):
        height = min(37, source.height - top)
        left = source.read(top, 0, height, 50)
        rows.append(np.concatenate([left, source.read(top, 50, height, source.width - 50)], axis=1))
    pixels = np.concatenate(rows)
    assert pixels.dtype == np.uint8
    return pixels


def write_zarr(path, axes, pixels, **attributes):
    group = zarr.create_group(path)
    group.create_array("0", data=pixels, chunks=tuple(min(32, size) for size in pixels.shape))
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5] * len(axes)}]}
    described = [{"name": axis, "unit": "micrometer"} for axis in axes]
    image = {"multiscales": [{"axes": described, "datasets": [dataset]}]}
    group.attrs.update(attributes.get("wrap", lambda value: value)(image))


WRITERS = {
    "a.png": lambda path, rgb: Image.fromarray(rgb).save(path),
    "strips.tif": lambda path, rgb: tifffile.imwrite(path, rgb, rowsperstrip=10, compression="lzw"),
    "tiles.tif": lambda path, rgb: tifffile.imwrite(path, rgb, tile=(32, 48), compression="zlib"),
    "planes.tif": lambda path, rgb: tifffile.imwrite(
        path, rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"
    ),
    "b.ome.tif": lambda path, rgb: tifffile.imwrite(path, rgb, photometric="rgb", tile=(64, 64)),
    "channels.ome.tif": lambda path, rgb: tifffile.imwrite(
        path, rgb.transpose(2, 0, 1), photometric="minisblack", metadata={"axes": "CYX"}
    ),
    "yxc.zarr": lambda path, rgb: zarr.create_array(path, data=rgb, chunks=(20, 20, 3)),
    "cyx.zarr": lambda path, rgb: zarr.create_array(
        path, data=rgb.transpose(2, 0, 1).copy(), chunks=(1, 20, 20)
    ),
    "v5.ome.zarr": lambda path, rgb: write_zarr(
        path, "cyx", rgb.transpose(2, 0, 1).copy(), wrap=lambda image: {"ome": image}
    ),
    "v4.ome.zarr": lambda path, rgb: write_zarr(path, "tczyx", rgb.transpose(2, 0, 1)[None, :, None].copy()),
}


# TIFFs are decoded whole up to a size, and read by strips above it.
@pytest.mark.parametrize(
    ("name", "by_strips"),
    [(name, False) for name in WRITERS] + [(name, True) for name in WRITERS if name.endswith(".tif")],
)
def test_what_was_written_is_read_by_region(name, by_strips, picture, tmp_path, monkeypatch):
    if by_strips:
        monkeypatch.setattr("nucseg_jax.images.tiff_source.LARGEST_WHOLE_PX", 100)
    WRITERS[name](tmp_path / name, picture)
    source = open_source(tmp_path / name)
    assert (source.height, source.width) == picture.shape[:2]
    np.testing.assert_array_equal(read_all(source), picture)
    if name.endswith("ome.zarr"):
        assert source.resolution.microns_per_px == 0.5
    source.close()


def test_colours_are_converted_by_the_stated_rules(picture, tmp_path):
    grey, alpha = picture[..., 0], np.full((96, 130), 255, np.uint8)
    alpha[:10] = 0
    on_white = picture.copy()
    on_white[:10] = 255
    expected = {
        "grey.png": (Image.fromarray(grey), np.repeat(grey[..., None], 3, axis=-1)),
        "sixteen.png": (
            Image.fromarray(grey.astype(np.uint16) * 257),
            np.repeat(grey[..., None], 3, axis=-1),
        ),
        "alpha.png": (Image.fromarray(np.dstack([picture, alpha])), on_white),
        "bits.png": (Image.fromarray(grey > 90), np.where(grey[..., None] > 90, 255, 0).repeat(3, axis=-1)),
        "keyed.png": (Image.fromarray(grey), np.where(grey == 20, 255, grey)[..., None].repeat(3, axis=-1)),
        "palette.png": (Image.fromarray(grey).convert("P"), np.repeat(grey[..., None], 3, axis=-1)),
    }
    for name, (image, rgb) in expected.items():
        image.save(tmp_path / name, **({"transparency": 20} if name == "keyed.png" else {}))
        np.testing.assert_array_equal(read_all(open_source(tmp_path / name)), rgb, err_msg=name)
    tifffile.imwrite(tmp_path / "white.tif", ~grey, photometric="miniswhite")
    np.testing.assert_array_equal(
        read_all(open_source(tmp_path / "white.tif")), np.repeat(grey[..., None], 3, -1)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_upright(orientation, picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {1: [], 2: [1], 3: [0, 1], 4: [0]}
    stored = np.flip(picture if orientation < 5 else picture.swapaxes(0, 1), back.get(orientation, []))
    if orientation >= 5:
        stored = {5: stored, 6: stored[::-1], 7: stored[::-1, ::-1], 8: stored[:, ::-1]}[orientation]
    Image.fromarray(np.ascontiguousarray(stored)).save(
        tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0
    )
    source = open_source(tmp_path / "a.jpg")
    assert (source.height, source.width) == picture.shape[:2]
    assert np.abs(read_all(source).astype(int) - picture).mean() < 2


def test_a_cmyk_jpeg_has_the_colours_it_was_made_from(picture, tmp_path):
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "a.jpeg", quality=95)
    assert np.abs(read_all(open_source(tmp_path / "a.jpeg")).astype(int) - picture).mean() < 3


def png_header(width: int, height: int) -> bytes:
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + data + struct.pack(">I", zlib.crc32(b"IHDR" + data))
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(body)) + b"IDAT" + body + b"\0\0\0\0"


def bad_files(folder, picture) -> dict[str, str]:
    """Files that cannot be used, and a word of the reason for each."""
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(whole, format="PNG")
    (folder / "truncated.png").write_bytes(whole.getvalue()[:40000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("this is no picture")
    (folder / "bomb.png").write_bytes(png_header(100_000, 100_000))
    (folder / "large.png").write_bytes(png_header(12_000, 12_000))
    (folder / "notes.txt").write_text("x")
    (folder / "garbage.tif").write_bytes(b"II*\0\xff\xff\xff\x7f")
    tifffile.imwrite(folder / "cut.tif", noise, tile=(32, 32), compression="zlib")
    (folder / "cut.tif").write_bytes((folder / "cut.tif").read_bytes()[:50_000])
    tifffile.imwrite(folder / "stack.tif", np.zeros((5, 30, 30), np.uint8), photometric="minisblack")
    tifffile.imwrite(folder / "floats.tif", np.zeros((30, 30), np.float32))
    tifffile.imwrite(folder / "turned.tif", picture, extratags=[(274, "H", 1, 6, True)])
    subsampling = [(530, "H", 2, (1, 1), True)]
    tifffile.imwrite(folder / "ycbcr.tif", picture, photometric="ycbcr", extratags=subsampling)
    (folder / "nothing.zarr").mkdir()
    zarr.create_array(folder / "volume.zarr", shape=(30, 30, 30), dtype=np.uint8)
    zarr.create_array(folder / "huge.zarr", shape=(10**6, 10**6, 3), chunks=(512, 512, 3), dtype=np.uint8)
    (folder / "slide.svs").write_bytes(b"no slide" * 100)
    return {
        "truncated.png": "cannot be read",
        "empty.png": "empty",
        "text.png": "cannot be read",
        "bomb.png": "178 million",
        "large.png": "decoded whole",
        "notes.txt": "its ending",
        "garbage.tif": "",
        "cut.tif": "truncated",
        "stack.tif": "stack",
        "floats.tif": "float32",
        "turned.tif": "turned",
        "ycbcr.tif": "YCbCr",
        "nothing.zarr": "cannot be read",
        "volume.zarr": "shape",
        "huge.zarr": "at most",
        "slide.svs": "cannot be read",
        "missing.png": "no such file",
    }


def read_whole(path):
    # Pixels are decoded when they are asked for, by whoever reads them.
    source = open_source(path)
    with refused(path):
        return source.read(0, 0, source.height, source.width)


def test_bad_files_are_refused_with_the_reason(picture, tmp_path):
    for name, word in bad_files(tmp_path, picture).items():
        with pytest.raises(RefusedImage) as refusal:
            read_whole(tmp_path / name)
        assert word in str(refusal.value), (name, str(refusal.value))


def test_resolutions_are_found_and_believed_only_if_they_can_be_true(picture, tmp_path):
    cm = dict(resolutionunit="CENTIMETER")
    tifffile.imwrite(tmp_path / "tags.tif", picture, resolution=(20_000, 20_000), **cm)
    tifffile.imwrite(tmp_path / "screen.tif", picture, resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "oblong.tif", picture, resolution=(20_000, 40_000), **cm)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        picture,
        photometric="rgb",
        metadata={
            "PhysicalSizeX": 250,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 250,
            "PhysicalSizeYUnit": "nm",
        },
    )
    tifffile.imwrite(
        tmp_path / "j.tif", picture[..., 0], imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    Image.fromarray(picture).save(tmp_path / "fine.png", dpi=(25_400 / 0.25, 25_400 / 0.25))
    Image.fromarray(picture).save(tmp_path / "screen.png", dpi=(96, 96))
    expected = {"tags.tif": 0.5, "a.ome.tif": 0.25, "j.tif": 0.25, "fine.png": 0.25}
    for name, microns in expected.items():
        assert open_source(tmp_path / name).resolution.microns_per_px == pytest.approx(microns, rel=1e-3), (
            name
        )
    for name in ("screen.tif", "oblong.tif", "screen.png"):
        assert open_source(tmp_path / name).resolution is None
    assert plausible(float("nan"), 0.25, "nowhere") is None


def test_a_pyramid_lends_its_smaller_level_for_an_overview(picture, tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as writer:
        options = dict(photometric="rgb", tile=(32, 32))
        writer.write(picture, subifds=1, **options)
        writer.write(picture[::2, ::2], subfiletype=1, **options)
    source = open_source(tmp_path / "p.ome.tif")
    np.testing.assert_array_equal(source.read_overview(60), picture[::2, ::2])
    np.testing.assert_array_equal(read_all(source), picture)


def test_a_slide_is_read_by_openslide(picture, tmp_path):
    pytest.importorskip("openslide")
    # OpenSlide takes tiled TIFFs of any maker; the ending says who reads.
    with tifffile.TiffWriter(tmp_path / "a.svs") as writer:
        options = dict(tile=(32, 32), photometric="rgb", compression="zlib", metadata=None)
        writer.write(picture, description="Aperio Image Library v11|AppMag = 20", **options)
        writer.write(picture[::2, ::2], subfiletype=1, **options)
    source = open_source(tmp_path / "a.svs")
    np.testing.assert_array_equal(read_all(source), picture)
    np.testing.assert_array_equal(source.read_overview(1000), picture[::2, ::2])
    assert (source.resolution, source.objective_power) == (None, 20.0)
    source.close()


@pytest.mark.parametrize("is_aperio", [False, True])
@pytest.mark.parametrize("kind", ["12 bits", "four samples", "five samples", "turned", "two pictures"])
def test_the_name_of_a_slide_changes_no_meaning_of_a_tiff(kind, is_aperio, picture, tmp_path):
    """OpenSlide took 12 bits for 16, any fourth sample for alpha and the first picture of several."""
    pytest.importorskip("openslide")
    options = {"tile": (32, 32), "photometric": "rgb", "metadata": None, "extratags": []}
    options |= {"description": "Aperio Image Library v11|MPP = 0.5"} if is_aperio else {}
    pixels = picture
    if kind == "12 bits":
        pixels = picture.astype(np.uint16) * 16
        options["extratags"] = [(281, 3, 3, (4095,) * 3, True)]
    elif kind.endswith("samples"):
        extra = 1 if kind == "four samples" else 2
        pixels = np.concatenate([picture, np.zeros((*picture.shape[:2], extra), np.uint8)], axis=-1)
        options["extrasamples"] = ["unspecified"] * extra
    elif kind == "turned":
        options["extratags"] = [(274, 3, 1, 6, True)]
    for name in ("a.svs", "a.tif"):
        with tifffile.TiffWriter(tmp_path / name) as writer:
            writer.write(pixels, **options)
            if kind == "two pictures":
                writer.write(255 - pixels, **options)
    try:
        source = open_source(tmp_path / "a.tif")
    except RefusedImage:
        expected = None
    else:
        expected = read_all(source)
        assert np.abs(expected.astype(int) - picture).max() <= 1
    if expected is None or is_aperio:
        with pytest.raises(RefusedImage):
            open_source(tmp_path / "a.svs")
    else:
        np.testing.assert_array_equal(read_all(open_source(tmp_path / "a.svs")), expected)


@pytest.mark.parametrize("factor", [1, 4])
def test_a_level_of_a_slide_that_was_saved_alone_has_its_own_scale_under_each_name(factor, picture, tmp_path):
    pytest.importorskip("openslide")
    height, width = picture.shape[0] * factor, picture.shape[1] * factor
    about = f"Aperio Image Library v11\r\n{width}x{height} [0,0 {width}x{height}]|AppMag = 40|MPP = 0.25"
    for name in ("a.svs", "a.tif"):
        tifffile.imwrite(
            tmp_path / name, picture, tile=(32, 32), photometric="rgb", description=about, metadata=None
        )
        source = open_source(tmp_path / name)
        assert source.resolution.microns_per_px == pytest.approx(0.25 * factor)
        assert source.objective_power == pytest.approx(40 / factor)
        source.close()


def test_of_a_pyramid_only_levels_that_can_be_decoded_whole_serve_as_overview(picture, monkeypatch):
    half, quarter = picture[::2, ::2], picture[::4, ::4]
    levels = [(level.shape[:2], lambda level=level: level) for level in (half, quarter)]
    read = pyramid_overview(levels)
    assert [read(longest).shape for longest in (1000, 60, 33, 1)] == [half.shape] * 2 + [quarter.shape] * 2
    monkeypatch.setattr(source_module, "LARGEST_WHOLE_PX", quarter.size // 3)
    assert pyramid_overview(levels)(1000).shape == quarter.shape
    monkeypatch.setattr(source_module, "LARGEST_WHOLE_PX", 10)
    assert pyramid_overview(levels) is None


@pytest.mark.parametrize("changed", ["a.zarr/0/c/0/0/0", "slide.mrxs", "slide/Data0000.dat", "b.png"])
def test_an_input_whose_pixels_were_written_again_is_another_job(changed, picture, tmp_path):
    write_zarr(tmp_path / "a.zarr", "yxc", picture)
    (tmp_path / "slide").mkdir()
    for name in ("slide.mrxs", "slide/Data0000.dat", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    inputs = [tmp_path / name for name in ("a.zarr", "slide.mrxs", "b.png")]
    before = [job_key(path, {}) for path in inputs]
    assert before == [job_key(path, {}) for path in inputs]
    file = tmp_path / changed
    file.write_bytes(file.read_bytes() + b"!")
    different = [key != job_key(path, {}) for key, path in zip(before, inputs, strict=True)]
    assert different == [path.stem == changed.partition("/")[0].partition(".")[0] for path in inputs]


def test_stems_drop_the_whole_ending(tmp_path):
    names = {"a.ome.tif": "a", "a.b.png": "a.b", "s.ome.zarr": "s", "X.SVS": "X", "y.JPeG": "y"}
    assert {name: stem(tmp_path / name) for name in names} == names


@pytest.mark.parametrize("microns", [0.5, 0.22, 0.1])
def test_regions_are_resampled_as_the_whole_image_is(microns, picture):
    size = model_size(*picture.shape[:2], microns, model_microns_per_px=0.25)
    view = ModelView(array_source(picture), *size)
    whole = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))
    height, width = size
    for top, left, bottom, right in (
        (0, 0, height, width),
        (5, 7, 30, 29),
        (height - 9, width - 11, height, width),
    ):
        region = view.read(top, left, bottom - top, right - left)
        np.testing.assert_array_equal(region, whole[top:bottom, left:right])


@pytest.mark.parametrize("microns", [0.25, 0.5, 0.22, 0.1])
@pytest.mark.parametrize("begin", [0, 41])
def test_bands_come_back_to_the_sources_grid_as_the_whole_map_does(microns, begin, picture):
    height, width = model_size(*picture.shape[:2], microns, model_microns_per_px=0.25)
    view = ModelView(array_source(picture), height, width)
    band = np.random.default_rng(0).random((height, width, 2), np.float32)
    resampler, parts = ToSourceGrid(view, top=begin), []
    top = resampler.first_model_row()
    for end in (*range(top + 3, height, 11), height):
        first, part = resampler.push(top, band[top:end])
        assert first == begin + sum(map(len, parts))
        parts.append(part)
        top = end
    for channel in range(2):
        whole = Image.fromarray(band[..., channel]).resize((130, 96), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(np.concatenate(parts)[..., channel], np.asarray(whole)[begin:], atol=1e-6)


def test_units_are_told_apart_by_case_where_that_matters():
    known = {"mm": 1e3, "nm": 1e-3, "µm": 1.0, "Micron": 1.0, "MILLIMETER": 1e3, "Å": 1e-4, " cm ": 1e4}
    assert {unit: microns_of(unit) for unit in known} == known
    assert all(math.isnan(microns_of(unit)) for unit in ("Mm", "Pm", "pixel", "", None, 3))


def test_scales_that_differ_little_are_taken_as_one():
    assert model_size(100, 50, 0.2528, model_microns_per_px=0.25) == (100, 50)
    assert model_size(100, 50, 0.5, model_microns_per_px=0.25) == (200, 100)


def test_sixteen_bits_are_full_range():
    levels = np.arange(256, dtype=np.uint16)[None, :, None] * 257
    np.testing.assert_array_equal(as_rgb(levels)[0, :, 0], np.arange(256))


def test_json_is_no_zarr(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 3}))
    with pytest.raises(RefusedImage):
        open_source(tmp_path / "a.zarr")
