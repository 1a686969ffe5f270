"""A picture comes out of every way to store it in a TIFF as what it is, or the file is refused with the reason."""

import dataclasses
import io
import os
import uuid

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.source import RefusedImage

FACTOR = np.linspace(0.2, 1.0, 96)
OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth, so that JPEG keeps it; no two channels alike."""
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([255 - y, 40 + x, 200 - y - x // 2], axis=-1).astype(np.uint8)


@pytest.fixture(params=["whole", "by strips"])
def opened(request, monkeypatch):
    """TIFFs are decoded whole up to a size, and read by strips above it."""
    if request.param == "by strips":
        monkeypatch.setattr("nucseg_jax.images.tiff_source.LARGEST_WHOLE_PX", 100)

    def read(path) -> np.ndarray:
        source = open_source(path)
        pixels = source.read(0, 0, source.height, source.width)
        rows = source.read(11, 5, 30, 40) if source.height > 41 and source.width > 45 else None
        if rows is not None:
            np.testing.assert_array_equal(rows, pixels[11:41, 5:45])
        source.close()
        return pixels

    return read


def retagged(path, **tags) -> None:
    """Overwrites tags of the first directory."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in tags.items():
            file.pages.first.tags[name].overwrite(value)


def adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


def with_jpeg(path, rgb, *, photometric: int, marker: bytes | None = None, **encoding) -> None:
    """One strip of JPEG data made by imagecodecs, under the photometric tag of choice.

    Args:
      path: of the file.
      rgb: the picture.
      photometric: the tag.
      marker: what takes the place of the encoder's JFIF or Adobe marker; None = that stays.
      encoding: for the encoder.
    """
    tifffile.imwrite(path, rgb, photometric="rgb", compression="jpeg", rowsperstrip=len(rgb))
    data = imagecodecs.jpeg_encode(rgb, level=98, **encoding)
    if marker is not None:
        assert data[2:4] in (b"\xff\xe0", b"\xff\xee")
        data = data[:2] + marker + data[4 + int.from_bytes(data[4:6], "big") :]
    with path.open("ab") as file:
        file.seek(0, os.SEEK_END)
        start = file.tell()
        file.write(data)
    retagged(path, PhotometricInterpretation=photometric, StripOffsets=(start,), StripByteCounts=(len(data),))


def grey_of(rgb) -> np.ndarray:
    return np.repeat(rgb[..., :1], 3, axis=-1)


def over_white(rgb) -> np.ndarray:
    return np.rint(rgb * FACTOR[:, None, None] + 255 * (1 - FACTOR[:, None, None])).astype(int)


def with_alpha(rgb, *, premultiplied=False) -> np.ndarray:
    opacity = FACTOR[:, None, None] if premultiplied else 1.0
    alpha = np.broadcast_to(np.rint(255 * FACTOR[:, None, None]), (*rgb.shape[:2], 1))
    return np.dstack([np.rint(rgb * opacity), alpha]).astype(np.uint8)


def levels(rgb, bits: int) -> np.ndarray:
    return np.rint(rgb.astype(float) * ((1 << bits) - 1) / 255).astype(np.uint16)


def write(path, pixels, **options) -> None:
    tifffile.imwrite(path, pixels, metadata=None, **options)


def write_palette(path, rgb, factor=257) -> None:
    image = Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE)
    table = np.array(image.getpalette()).reshape(-1, 3).T.astype(np.uint16) * factor
    full = np.zeros((3, 256), np.uint16)
    full[:, : table.shape[1]] = table
    write(path, np.asarray(image), photometric="palette", colormap=full, compression="zlib")


def write_jpeg2000(path, rgb, code, *, is_ycbcr) -> None:
    pixels = np.asarray(Image.fromarray(rgb).convert("YCbCr")) if is_ycbcr else rgb
    write(
        path,
        pixels,
        photometric="rgb",
        compression=code,
        tile=(64, 64),
        compressionargs=dict(mct=False, reversible=True),
    )


# How the picture is stored, what comes out of it, and how far off it may be.
READ = {
    "RGB in planes": (
        lambda p, x: write(p, x.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        None,
        0,
    ),
    "grey, 0 white": (
        lambda p, x: write(p, ~x[..., 0], photometric="miniswhite", compression="lzw"),
        grey_of,
        0,
    ),
    "0 white of 12 bits": (
        lambda p, x: write(p, 4095 - levels(x, 12)[..., 0], photometric="miniswhite", bitspersample=12),
        grey_of,
        0,
    ),
    "0 white with alpha": (
        lambda p, x: write(
            p,
            np.dstack([~x[..., 0], with_alpha(x)[..., 3]]),
            photometric="miniswhite",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        ),
        lambda x: over_white(grey_of(x)),
        1,
    ),
    "1 bit": (
        lambda p, x: Image.fromarray(x[..., 0] > 200).save(p, compression="group4"),
        lambda x: grey_of(np.where(x > 200, 255, 0)),
        0,
    ),
    "4 bits": (
        lambda p, x: write(
            p, levels(x, 4)[..., 0].astype(np.uint8), photometric="minisblack", bitspersample=4
        ),
        grey_of,
        9,
    ),
    "10 bits": (
        lambda p, x: write(p, levels(x, 10)[..., 0], photometric="minisblack", bitspersample=10),
        grey_of,
        0,
    ),
    "12 bits": (lambda p, x: write(p, levels(x, 12), photometric="rgb", bitspersample=12), None, 0),
    "14 bits": (lambda p, x: write(p, levels(x, 14), photometric="rgb", bitspersample=14), None, 0),
    "16 bits": (lambda p, x: write(p, levels(x, 16), photometric="rgb", compression="zlib"), None, 0),
    "largest level 4095": (
        lambda p, x: write(p, levels(x, 12), photometric="rgb", extratags=[(281, "H", 3, (4095,) * 3, True)]),
        None,
        0,
    ),
    "largest level of 8 bits": (
        lambda p, x: write(p, x, photometric="rgb", extratags=[(281, "H", 3, (241, 200, 199), True)]),
        None,
        0,
    ),
    "largest level of signed tag": (
        lambda p, x: write(p, levels(x, 12), photometric="rgb", extratags=[(341, "H", 3, (4095,) * 3, True)]),
        None,
        0,
    ),
    "straight alpha": (
        lambda p, x: write(
            p, with_alpha(x), photometric="rgb", extrasamples=["unassalpha"], compression="lzw"
        ),
        over_white,
        1,
    ),
    "premultiplied alpha": (
        lambda p, x: write(
            p, with_alpha(x, premultiplied=True), photometric="rgb", extrasamples=["assocalpha"]
        ),
        over_white,
        1,
    ),
    "unspecified sample": (
        lambda p, x: write(p, np.dstack([x, x[..., 0] * 0]), photometric="rgb", extrasamples=["unspecified"]),
        None,
        0,
    ),
    "unspecified sample before alpha": (
        lambda p, x: write(
            p,
            np.dstack([x, x[..., 0] * 0, with_alpha(x)[..., 3]]),
            photometric="rgb",
            extrasamples=["unspecified", "unassalpha"],
        ),
        over_white,
        1,
    ),
    "palette": (write_palette, None, 12),
    "palette of 8 bits": (lambda p, x: write_palette(p, x, factor=1), None, 12),
    "JPEG, RGB inside": (lambda p, x: with_jpeg(p, x, photometric=2, outcolorspace="rgb"), None, 4),
    "JPEG, tag RGB, YCbCr inside": (lambda p, x: with_jpeg(p, x, photometric=2), None, 4),
    "JPEG, tag YCbCr, RGB inside": (
        lambda p, x: with_jpeg(p, x, photometric=6, outcolorspace="rgb"),
        None,
        4,
    ),
    "JPEG, tag RGB, YCbCr by Adobe": (lambda p, x: with_jpeg(p, x, photometric=2, marker=adobe(1)), None, 4),
    "JPEG, tag RGB, small chroma": (
        lambda p, x: with_jpeg(p, x, photometric=2, marker=b"", subsampling="422"),
        None,
        4,
    ),
    "JPEG, tag RGB, no marker": (
        lambda p, x: with_jpeg(p, x, photometric=2, marker=b"", outcolorspace="rgb"),
        None,
        4,
    ),
    "JPEG, tag YCbCr, no marker": (
        lambda p, x: with_jpeg(p, x, photometric=6, marker=b"", subsampling="444"),
        None,
        4,
    ),
    "JPEG of grey": (
        lambda p, x: write(p, x[..., 0], photometric="minisblack", compression="jpeg", tile=(64, 64)),
        grey_of,
        6,
    ),
    "Aperio's JPEG 2000 of YCbCr": (lambda p, x: write_jpeg2000(p, x, 33003, is_ycbcr=True), None, 3),
    "Aperio's JPEG 2000 of RGB": (lambda p, x: write_jpeg2000(p, x, 33005, is_ycbcr=False), None, 0),
    "JPEG 2000": (lambda p, x: write_jpeg2000(p, x, 34712, is_ycbcr=False), None, 0),
    "WebP": (
        lambda p, x: write(p, x, photometric="rgb", compression="webp", compressionargs={"lossless": True}),
        None,
        0,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_understood_is_read_as_what_it_means(name, opened, picture, tmp_path):
    store, expected, tolerance = READ[name]
    store(tmp_path / "a.tif", picture)
    pixels = opened(tmp_path / "a.tif").astype(int)
    difference = np.abs(pixels - (expected(picture) if expected else picture))
    assert np.quantile(difference, 0.99) <= tolerance, difference.mean()


REFUSED = {
    "CMYK": (lambda p, x: write(p, np.dstack([x, x[..., 0]]), photometric="separated"), "CMYK"),
    "CIELab": (lambda p, x: write(p, x, photometric="cielab"), "CIELab"),
    "no photometric tag": (lambda p, x: untagged(p, x, 262), "PhotometricInterpretation"),
    "signed": (lambda p, x: write(p, x.astype(np.int16), photometric="rgb"), "int16"),
    "32 bits": (lambda p, x: write(p, x.astype(np.uint32), photometric="rgb"), "uint32"),
    "grey and one more": (
        lambda p, x: write(p, x[..., :2], photometric="minisblack", planarconfig="contig"),
        "without a description",
    ),
    "grey and two more": (
        lambda p, x: write(p, x, photometric="minisblack", planarconfig="contig"),
        "without a description",
    ),
    "two alphas": (
        lambda p, x: write(p, np.dstack([x, x[..., :2]]), photometric="rgb", extrasamples=["unassalpha"] * 2),
        "one alpha",
    ),
    "levels above the stated": (
        lambda p, x: write(p, levels(x, 16), photometric="rgb", extratags=[(281, "H", 1, 4095, True)]),
        "levels up to",
    ),
    "a largest level that leaves white open": (
        lambda p, x: write(p, x // 4, photometric="rgb", extratags=[(281, "H", 1, 60, True)]),
        "white is not known",
    ),
    "JPEG 2000, tag YCbCr, RGB inside": (
        lambda p, x: write(p, x, photometric="rgb", compression=33003, tile=(64, 64)),
        "a transform of RGB",
    ),
    "JPEG, YCbCr of video": (
        lambda p, x: write(
            p,
            x,
            photometric="ycbcr",
            compression="jpeg",
            subsampling=(1, 1),
            extratags=[(532, "2I", 6, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)],
        ),
        "another kind",
    ),
    "JPEG, YCbCr by other weights": (
        lambda p, x: write(
            p,
            x,
            photometric="ycbcr",
            compression="jpeg",
            subsampling=(1, 1),
            extratags=[(529, "2I", 3, (2125, 10_000, 7154, 10_000, 721, 10_000), True)],
        ),
        "another kind",
    ),
    "JPEG of two samples": (
        lambda p, x: write(
            p, x[..., :2], photometric="minisblack", planarconfig="contig", compression="jpeg", tile=(32, 32)
        ),
        "samples per pixel",
    ),
    "no tile stored": (lambda p, x: without_tiles(p, x[..., 0], range(12)), "hold no pixels"),
    "a tile of a palette not stored": (
        lambda p, x: without_tiles(p, x[..., 0], [3], is_palette=True),
        "hold no pixels",
    ),
    "two pages": (lambda p, x: pages(p, [(x, 0), (x[::-1], 0)]), "equal standing"),
    "two crops": (lambda p, x: pages(p, [(x, 0), (x[:80, :70], 0)]), "equal standing"),
    "JPEG-XR": (
        lambda p, x: write(p, x, photometric="rgb", compression="jpegxr", tile=(64, 64)),
        "not supported",
    ),
    "stack in the description": (
        lambda p, x: tifffile.imwrite(
            p, np.stack([x[..., 0]] * 4), photometric="minisblack", metadata={"truncate": 1}
        ),
        "stack",
    ),
    "ImageJ's channels": (
        lambda p, x: tifffile.imwrite(p, x.transpose(2, 0, 1).copy(), imagej=True, metadata={"axes": "CYX"}),
        "stack",
    ),
}


def untagged(path, pixels, code: int) -> None:
    """A TIFF without one of its tags."""
    write(path, pixels, photometric="rgb")
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags[code].offset
    content = bytearray(path.read_bytes())
    # A private code in its place, which is passed over.
    content[offset : offset + 2] = (261).to_bytes(2, "little")
    path.write_bytes(content)


def pages(path, content) -> None:
    """A TIFF of several pages: pixels, NewSubfileType, and the side of tiles if there are any."""
    with tifffile.TiffWriter(path) as writer:
        for pixels, kind, *tile_px in content:
            options = {"tile": tuple(tile_px) * 2} if tile_px else {}
            writer.write(
                np.ascontiguousarray(pixels),
                photometric="rgb" if pixels.ndim == 3 else "minisblack",
                subfiletype=kind,
                metadata=None,
                compression="zlib",
                **options,
            )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_with_the_reason(name, opened, picture, tmp_path):
    store, reason = REFUSED[name]
    store(tmp_path / "a.tif", picture)
    with pytest.raises((RefusedImage, ValueError), match=reason):
        opened(tmp_path / "a.tif")


def test_the_picture_is_found_in_any_order_of_pages(picture, tmp_path):
    """A slide with two levels, a thumbnail, a label and a macro image, marked or not, in any order."""
    large = np.kron(picture, np.ones((4, 4, 1), np.uint8))
    parts = [(large, 0, 64), (large[::2, ::2], 0, 64), (large[::4, ::4], 1), (large[::16, ::16], 0)]
    parts += [(large[:90, :40], 0), (large[:200, :300], 9)]
    generator = np.random.default_rng(0)
    for _ in range(6):
        pages(tmp_path / "a.tif", [parts[index] for index in generator.permutation(len(parts))])
        source = open_source(tmp_path / "a.tif")
        np.testing.assert_array_equal(source.read(0, 0, source.height, source.width), large)
        np.testing.assert_array_equal(source.read_overview(200), large[::2, ::2])
        assert any("90 x 40 px" in note for note in source.notes())
        source.close()


def test_a_mask_is_no_picture_and_is_named(picture, tmp_path):
    mask = np.zeros(picture.shape[:2], bool)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(mask, photometric="mask", subfiletype=4, metadata=None)
        writer.write(picture, photometric="rgb", metadata=None)
    source = open_source(tmp_path / "a.tif")
    np.testing.assert_array_equal(source.read(0, 0, 96, 128), picture)
    assert any("mask" in note for note in source.notes())
    source.close()


def test_aperios_labels_are_known_by_their_description(picture, tmp_path):
    """Some are not marked, and not small beside a region that was exported."""
    abouts = ["Aperio Image Library v11\r\nlabel 387x463", "Aperio Image Library v11|MPP = 0.25"]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for about, pixels in zip(abouts, (picture[:80, :90], picture), strict=True):
            writer.write(np.ascontiguousarray(pixels), photometric="rgb", description=about, metadata=None)
    source = open_source(tmp_path / "a.tif")
    np.testing.assert_array_equal(source.read(0, 0, 96, 128), picture)
    assert source.resolution.microns_per_px == 0.25
    source.close()


def test_ome_xml_of_a_small_page_does_not_stand_for_a_large_one(picture, tmp_path):
    xml = ome_xml("a", [("", "a.ome.tif", "urn:uuid:0")]).replace(b'"128"', b'"16"').replace(b'"96"', b'"12"')
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        small = np.ascontiguousarray(picture[::8, ::8])
        for pixels, about in ((small, xml), (picture, None)):
            writer.write(pixels, photometric="rgb", description=about, metadata=None)
    with pytest.raises(RefusedImage, match="does not describe the largest"):
        open_source(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "options",
    [
        {"description": "state.configPath = 'a'\r\n"},
        {"extratags": [(33445, "I", 1, 128, True), (33446, "2I", 1, (1, 1), True)]},
    ],
    ids=["ScanImage", "Molecular Dynamics"],
)
def test_formats_whose_planes_or_levels_are_told_elsewhere_are_refused(options, picture, tmp_path):
    write(tmp_path / "a.tif", picture[..., 0], photometric="minisblack", **options)
    with pytest.raises(RefusedImage, match="stack"):
        open_source(tmp_path / "a.tif")


def test_tiles_that_overlap_are_not_put_side_by_side(picture, tmp_path):
    xmp = b'<Metadata><iScan Magnification="20" ScanRes="0.465"/></Metadata>'
    write(
        tmp_path / "a.tif",
        picture,
        photometric="rgb",
        tile=(32, 32),
        description="level=0 mag=20 quality=90",
        software="ScanOutputManager 1.1.0.15854",
        extratags=[(700, 7, len(xmp), xmp, True)],
    )
    with pytest.raises(RefusedImage, match="overlap"):
        open_source(tmp_path / "a.tif")


@pytest.mark.parametrize("is_stated", [False, True])
def test_a_level_of_another_range_is_no_overview(is_stated, picture, tmp_path):
    stated = {"extratags": [(281, "H", 3, (4095,) * 3, True)]}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        options = {"photometric": "rgb", "metadata": None}
        writer.write(levels(picture, 12), **options, **stated)
        half = levels(picture[::2, ::2], 12)
        writer.write(half, subfiletype=1, **options, **(stated if is_stated else {}))
    source = open_source(tmp_path / "a.tif")
    if is_stated:
        np.testing.assert_array_equal(source.read_overview(1), picture[::2, ::2])
    assert (source.read_overview is not None) == is_stated
    source.close()


def test_strips_that_are_missing_from_the_index_are_no_black_rows(picture, tmp_path):
    write(tmp_path / "a.tif", picture, photometric="rgb", rowsperstrip=8, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offsets, counts = file.pages.first.dataoffsets, file.pages.first.databytecounts
    retagged(tmp_path / "a.tif", StripOffsets=offsets[:-2], StripByteCounts=counts[:-2])
    with pytest.raises(RefusedImage, match="truncated"):
        open_source(tmp_path / "a.tif")


def test_channels_of_different_kinds_are_refused(picture, tmp_path):
    write_channels(tmp_path / "a.ome.tif", picture.transpose(2, 0, 1), [""] * 3)
    with tifffile.TiffFile(tmp_path / "a.ome.tif", mode="r+") as file:
        file.pages[1].tags["PhotometricInterpretation"].overwrite(0)
    with pytest.raises(RefusedImage, match="different kinds"):
        open_source(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("is_marked", [False, True])
def test_only_a_sure_copy_tells_where_tissue_is(is_marked, picture, tmp_path):
    """A macro image may have the shape of the slide by chance."""
    pages(tmp_path / "a.tif", [(picture, 0, 32), (255 - picture[::2, ::2], int(is_marked))])
    source = open_source(tmp_path / "a.tif")
    assert (source.read_overview is not None) == is_marked
    source.close()


@pytest.mark.parametrize("is_marked", [False, True])
@pytest.mark.parametrize("grey", [np.uint8, np.uint16])
def test_a_grey_mask_is_no_level_of_a_picture_in_colours(is_marked, grey, picture, tmp_path):
    """Whatever size it has, and also where it is tiled as the picture is."""
    mask = np.where(picture[..., 0] > 200, np.iinfo(grey).max, 0).astype(grey)
    for order in (slice(None), slice(None, None, -1)):
        pages(tmp_path / "a.tif", [(picture, 0, 32), (mask[::2, ::2], int(is_marked), 32)][order])
        source = open_source(tmp_path / "a.tif")
        np.testing.assert_array_equal(source.read(0, 0, 96, 128), picture)
        assert source.read_overview is None
        source.close()
        large = np.kron(mask, np.ones((2, 2), grey))
        pages(tmp_path / "b.tif", [(picture, 0, 32), (large, 0, 32)][order])
        with pytest.raises(RefusedImage, match="equal standing"):
            open_source(tmp_path / "b.tif")


def without_tiles(path, pixels, missing, *, is_inverted=False, is_palette=False) -> None:
    """A TIFF in tiles of 32 x 32, some of which have no place in the file."""
    colours = {"photometric": "miniswhite" if is_inverted else "minisblack"}
    if is_palette:
        colours = {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}
    write(path, pixels, tile=(32, 32), compression="zlib", **colours)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    for index in missing:
        offsets[index] = counts[index] = 0
    retagged(path, TileOffsets=offsets, TileByteCounts=counts)


@pytest.mark.parametrize("is_inverted", [False, True])
def test_tiles_that_are_not_stored_are_white(is_inverted, opened, picture, tmp_path):
    stored = ~picture[..., 0] if is_inverted else picture[..., 0]
    without_tiles(tmp_path / "a.tif", stored, [5], is_inverted=is_inverted)
    expected = grey_of(picture)
    expected[32:64, 32:64] = 255
    np.testing.assert_array_equal(opened(tmp_path / "a.tif"), expected)


def ome_xml(name, images, *, root="urn:uuid:0") -> bytes:
    """OME-XML of images (name of the file, UUID, attributes of Pixels, channels)."""
    described = "".join(
        f'<Image ID="Image:{i}" Name="{title}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint8"'
        f' SizeX="128" SizeY="96" SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5"><Channel'
        f' ID="Channel:{i}:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"><UUID FileName="{file}">{uid}'
        "</UUID></TiffData></Pixels></Image>"
        for i, (title, file, uid) in enumerate(images)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}" UUID="{root}">{described}</OME>'.encode()
    )


def test_a_file_of_a_set_gives_its_own_picture_and_no_other_file_is_opened(picture, tmp_path, monkeypatch):
    folder = tmp_path / "set"
    folder.mkdir()
    os.mkfifo(folder / "pipe.ome.tif")
    names = ["a.ome.tif", "b.ome.tif", "pipe.ome.tif", "../out.ome.tif", "/etc/passwd", "gone.ome.tif"]
    images = [("", name, f"urn:uuid:{index}") for index, name in enumerate(names)]
    own = {"a.ome.tif": picture, "b.ome.tif": picture[::-1]}
    for index, (name, pixels) in enumerate(own.items()):
        write(
            folder / name,
            pixels,
            photometric="rgb",
            description=ome_xml(name, images, root=f"urn:uuid:{index}"),
        )
    seen = []
    plain = io.open
    monkeypatch.setattr(
        "builtins.open", lambda path, *rest, **more: seen.append(str(path)) or plain(path, *rest, **more)
    )
    for name, pixels in own.items():
        source = open_source(folder / name)
        np.testing.assert_array_equal(source.read(0, 0, 96, 128), pixels)
        assert source.resolution.microns_per_px == 0.5
        source.close()
    assert all(path.endswith(("a.ome.tif", "b.ome.tif")) for path in seen)
    # Renamed, it is known by its UUID where that goes with one name.
    only = ome_xml("a", [("", "old name.ome.tif", "urn:uuid:0")])
    write(tmp_path / "new.ome.tif", picture, photometric="rgb", description=only)
    open_source(tmp_path / "new.ome.tif").close()


def test_one_uuid_for_several_names_is_told_apart_by_the_name(picture, tmp_path):
    """Sets that a program wrote with one UUID for all; the case of a name may have changed on the way."""
    names = ["a.ome.tif", "B.ome.tif"]
    images = [("", name, "urn:uuid:0") for name in names]
    for name, pixels in zip(names, (picture, picture[::-1]), strict=True):
        write(tmp_path / name.lower(), pixels, photometric="rgb", description=ome_xml(name, images))
        source = open_source(tmp_path / name.lower())
        np.testing.assert_array_equal(source.read(0, 0, 96, 128), pixels)
        source.close()
    write(tmp_path / "c.ome.tif", picture, photometric="rgb", description=ome_xml("c", images))
    with pytest.raises(RefusedImage, match="places its image in"):
        open_source(tmp_path / "c.ome.tif")


def test_a_part_of_an_image_is_refused_though_all_parts_are_there(picture, tmp_path):
    names = [f"c{index}.ome.tif" for index in range(3)]
    places = "".join(
        f'<TiffData FirstC="{index}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{index}</UUID></TiffData>'
        for index, name in enumerate(names)
    )
    for index, name in enumerate(names):
        xml = (
            f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}" UUID="urn:uuid:{index}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="96" SizeC="3" SizeZ="1"'
            f' SizeT="1">{places}</Pixels></Image></OME>'
        )
        write(tmp_path / name, picture[..., index], photometric="minisblack", description=xml.encode())
    for name in names:
        with pytest.raises(RefusedImage, match="a part of an image"):
            open_source(tmp_path / name)


@pytest.mark.parametrize("file", ["gone.ome.tif", "plain.tif", "../plain.tif", "/etc/passwd"])
def test_a_picture_that_lies_in_another_file_is_refused(file, picture, tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", picture, photometric="rgb")
    xml = ome_xml("a", [("", file, f"urn:uuid:{uuid.uuid4()}")])
    write(tmp_path / "a.ome.tif", picture, photometric="rgb", description=xml)
    with pytest.raises(RefusedImage, match="places its image in"):
        open_source(tmp_path / "a.ome.tif")


def write_channels(path, planes, channels, **pixels) -> None:
    """An OME-TIFF with a page a channel."""
    about = "".join(f'<Channel ID="Channel:0:{i}" {each}/>' for i, each in enumerate(channels))
    count, height, width = planes.shape
    sizes = dict(SizeX=width, SizeY=height, SizeC=count, SizeZ=1, SizeT=1)
    stated = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": planes.dtype, **sizes, **pixels}
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}"><Image ID="Image:0"><Pixels'
        + "".join(f' {name}="{value}"' for name, value in stated.items())
        + f">{about}<TiffData/></Pixels></Image></OME>"
    )
    with tifffile.TiffWriter(path) as writer:
        for index, plane in enumerate(planes):
            description = xml.encode() if index == 0 else None
            writer.write(
                plane,
                photometric="minisblack",
                description=description,
                metadata=None,
                tile=(32, 32),
                contiguous=False,
            )


RED, GREEN, BLUE = -16776961, 16711935, 65535


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("by", ["name", "colour"])
def test_channels_are_put_in_the_order_that_names_or_colours_state(order, by, opened, picture, tmp_path):
    described = {"name": ['Name="Red"', 'Name="G"', 'Name="Channel B"']}
    described["colour"] = [f'Color="{value}"' for value in (RED, GREEN, BLUE)]
    planes = picture.transpose(2, 0, 1)[list(order)]
    write_channels(tmp_path / "a.ome.tif", planes, [described[by][index] for index in order])
    np.testing.assert_array_equal(opened(tmp_path / "a.ome.tif"), picture)


@pytest.mark.parametrize(
    "channels",
    [
        ['Name="DAPI"', 'Name="CD3"', 'Name="CD8"'],
        ['Name="Red"', 'Name="Green"', 'Name="Infrared"'],
        ['EmissionWavelength="461"', "", ""],
        ['Fluor="Hoechst"'],
        ['ContrastMethod="Fluorescence"'],
        ["", "", "", ""],
        ["", ""],
        [f'Color="{value}"' for value in (RED, GREEN, GREEN)],
    ],
)
def test_channels_that_are_no_colours_are_refused(channels, picture, tmp_path):
    planes = np.dstack([picture, picture[..., 0]]).transpose(2, 0, 1)[: len(channels)]
    write_channels(tmp_path / "a.ome.tif", planes, channels)
    with pytest.raises(RefusedImage, match=r"channel|fluorescence"):
        open_source(tmp_path / "a.ome.tif")


def test_significant_bits_set_the_scale_of_image_and_overview(opened, picture, tmp_path):
    planes = levels(picture, 12).transpose(2, 0, 1)
    write_channels(tmp_path / "a.ome.tif", planes, [""] * 3, SignificantBits=12)
    np.testing.assert_array_equal(opened(tmp_path / "a.ome.tif"), picture)
    write_channels(tmp_path / "b.ome.tif", planes, [""] * 3, SignificantBits=17)
    with pytest.raises(RefusedImage, match="17 significant bits"):
        open_source(tmp_path / "b.ome.tif")
    write_channels(tmp_path / "c.ome.tif", planes, [""] * 3)
    source = open_source(tmp_path / "c.ome.tif")
    source.read(0, 0, 96, 128)
    assert any("levels lie within" in note for note in source.notes())
    source.close()


@pytest.mark.parametrize(
    ("channels", "is_read"),
    [
        ([], True),
        (["", "", ""], True),
        (['Name="R"', 'Name="G"', 'Name="B"'], True),
        (['Name="B"', 'Name="G"', 'Name="R"'], False),
        (['Name="DAPI"', 'Name="FITC"', 'Name="Cy5"'], False),
    ],
)
def test_an_rgb_page_whose_samples_are_described_as_channels_is_rgb(
    channels, is_read, opened, picture, tmp_path
):
    about = "".join(f'<Channel ID="Channel:0:{i}" {each}/>' for i, each in enumerate(channels))
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}"><Image ID="Image:0"><Pixels ID="Pixels:0"'
        ' DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="96" SizeC="3" SizeZ="1" SizeT="1">'
        f"{about}</Pixels></Image></OME>"
    )
    write(tmp_path / "a.ome.tif", picture, photometric="rgb", description=xml.encode())
    if is_read:
        np.testing.assert_array_equal(opened(tmp_path / "a.ome.tif"), picture)
        return
    with pytest.raises(RefusedImage):
        opened(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"SizeX": 64}, "96 x 64 px"),
        ({"SizeC": 4}, "not in the file"),
        ({"SizeC": 2}, "equal standing"),
        ({"SizeC": 10**9}, "channels"),
        ({"SizeZ": 3}, "stack"),
        ({"SizeT": 3}, "stack"),
        ({"Type": "int8"}, "int8"),
        ({"SizeC": "x"}, "understood"),
        ({"SizeY": 0}, "understood"),
    ],
)
def test_ome_xml_that_does_not_fit_the_pages_is_refused(stated, reason, picture, tmp_path):
    write_channels(tmp_path / "a.ome.tif", picture.transpose(2, 0, 1), [""] * 3, **stated)
    with pytest.raises(RefusedImage, match=reason):
        open_source(tmp_path / "a.ome.tif")


def test_levels_in_subifds_need_no_mark_and_no_exact_size(opened, picture, tmp_path):
    """Some writers mark no level, and pad each to whole tiles."""
    padded = np.pad(picture[::2, ::2], ((0, 16), (0, 0), (0, 0)))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(picture, photometric="rgb", subifds=2, metadata=None, tile=(32, 32))
        for level in (padded, picture[::4, ::4]):
            writer.write(np.ascontiguousarray(level), photometric="rgb", metadata=None, tile=(32, 32))
    np.testing.assert_array_equal(opened(tmp_path / "a.tif"), picture)
    source = open_source(tmp_path / "a.tif")
    np.testing.assert_array_equal(source.read_overview(1), picture[::4, ::4])
    source.close()


@dataclasses.dataclass
class Scale:
    about: str
    microns: float | None
    power: float | None


@pytest.mark.parametrize(
    "scale",
    [
        Scale("Aperio Image Library v11\r\n|AppMag = 20|MPP = 0.4990", 0.499, 20.0),
        Scale("Aperio Image Library v11\r\n|AppMag = 40|MPP = 0,2520", 0.252, 40.0),
        Scale("Aperio Image Library v11\r\n|AppMag = 40", None, 40.0),
        Scale("Aperio Image Library v11\r\n|AppMag = |MPP = ?", None, None),
        Scale("Aperio Image Library v11", None, None),
        # Levels and thumbnails that were saved alone; the picture is 96 x 128.
        Scale(
            "Aperio Image Library v11\r\n140x96 [12,0 128x96] (64x64) JPEG|AppMag = 20|MPP = 0.5", 0.5, 20.0
        ),
        Scale(
            "Aperio Image Library v11\r\n512x384 [0,0 512x384] -> 128x96 - |AppMag = 20|MPP = 0.5", 2.0, 5.0
        ),
        Scale("Aperio Image Library v11\r\n1030x800 [6,9 1025x768] -> 128x96 - |AppMag = 40", None, 5.0),
        # A part that was cut out.
        Scale("Aperio Image Library v11\r\n512x512 [0,0 512x512]|AppMag = 20|MPP = 0.5", 0.5, 20.0),
    ],
)
@pytest.mark.parametrize("options", [{}, {"tile": (64, 64), "compression": "jpeg"}])
def test_aperios_description_is_read_in_a_tif(scale, options, picture, tmp_path):
    write(tmp_path / "a.tif", picture, photometric="rgb", description=scale.about, **options)
    source = open_source(tmp_path / "a.tif")
    assert (source.resolution and source.resolution.microns_per_px) == scale.microns
    assert source.objective_power == (scale.power and pytest.approx(scale.power, rel=0.01))
    source.close()


@pytest.mark.parametrize(
    ("stated", "microns"),
    [
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}, 0.25),
        ({"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}, None),
        ({"PhysicalSizeX": 25.0, "PhysicalSizeY": 25.0}, None),
        ({}, 0.5),
        ({"PhysicalSizeX": 0.25}, 0.5),
        ({"PhysicalSizeX": 0.0, "PhysicalSizeY": 0.0}, 0.5),
        ({**dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), 1), "PhysicalSizeXUnit": "pixel"}, 0.5),
    ],
)
def test_tags_give_no_scale_that_ome_metadata_contradict(stated, microns, picture, tmp_path):
    """The tags state half a micron."""
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        picture,
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
        metadata={"axes": "YXS", **stated},
    )
    source = open_source(tmp_path / "a.ome.tif")
    assert (source.resolution and source.resolution.microns_per_px) == microns
    source.close()
