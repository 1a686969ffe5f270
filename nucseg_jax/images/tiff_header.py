"""The tags of a TIFF directory as `meaning.Header`; compressed data that contradict the tags have the last word."""

import numpy as np
import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.images.codestream import jpeg2000_header, jpeg_header
from nucseg_jax.images.meaning import (
    GREY,
    GREY_INVERTED,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    STRAIGHT,
    UNSPECIFIED,
    YCBCR,
    Header,
)
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.images.tiff_segment import (
    check_decoded_shape,
    check_segment_bytes,
    check_shape,
    first_segment,
)

# Numbers of TIFF 6.0 and of its registered extensions.
_PHOTOMETRIC = {0: GREY_INVERTED, 1: GREY, 2: RGB, 3: PALETTE, 6: YCBCR}
_REFUSED = {4: "a mask", 5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a camera's raw mosaic"}
_EXTRA = {1: PREMULTIPLIED, 2: STRAIGHT}
_JPEG = {6, 7, 33007, 34892}
# Aperio's codes state the colours in the codestream, whatever the photometric tag does.
_APERIO_YCBCR, _APERIO_RGB, _JPEG2000 = 33003, 33005, 34712
_OF_BYTES = {1, 5, 8, 32946, 32773, 34925, 34926, 50000}
_FAX = {2, 3, 4}
# WebP and JPEG XL, whose decoders give RGB or grey whatever lies inside.
_OWN_COLOURS = {50001, 50002, 52546}
_UPRIGHT = 1
_BT601, _FULL_RANGE = (0.299, 0.587, 0.114), (0, 255, 128, 255, 128, 255)
# Compressions with a predictor; tifffile undoes it elsewhere too, where other readers ignore the tag.
_PREDICTED, _DIFFERENCES = {5, 8, 32946, 34925, 34926, 50000}, 2


def check_layout(page: tifffile.TiffPage) -> None:
    """Raises RefusedImage for a directory that is no upright picture of rows, columns and samples."""
    if page.axes not in ("YX", "YXS", "SYX"):
        raise RefusedImage(
            f"the TIFF is a stack: axes {page.axes}, shape {page.shape}", expected="rows, columns and colours"
        )
    orientation = page.tags.valueof("Orientation", _UPRIGHT)
    if orientation != _UPRIGHT:
        raise RefusedImage(
            f"the TIFF is to be turned (orientation {orientation})",
            advice="save it upright: coordinates would lie",
        )
    if 262 not in page.tags:
        raise RefusedImage("the TIFF does not state its colours (PhotometricInterpretation)")
    formats = {int(each) for each in np.atleast_1d(page.tags.valueof("SampleFormat", 1))}
    if formats != {1} or page.dtype is None:
        raise RefusedImage(
            f"the TIFF's samples are {page.dtype or f'of format {sorted(formats)}'}",
            expected="unsigned whole numbers of 8 or 16 bits",
        )
    if page.is_tiled:
        # A tile may be larger than its image; a strip is not.
        check_segment_bytes(page)


def tiff_header(page: tifffile.TiffPage) -> tuple[Header, tuple[str, ...]]:
    """The statements of a directory about its samples, and notes on contradictions; tells tifffile how to decode.

    Args:
      page: passed `check_layout`; nothing of it is decoded yet.

    Raises:
      RefusedImage: colours, compression or bits that are not understood.
      ValueError: compressed data that are damaged.
    """
    number = int(page.photometric)
    if number not in _PHOTOMETRIC:
        raise RefusedImage(
            f"the TIFF's colours are {_REFUSED.get(number, f'of kind {number}')}",
            expected="RGB, grey, a palette, or YCbCr in JPEG",
            advice="save it as RGB",
        )
    colours, notes = _decoded_colours(page, _PHOTOMETRIC[number])
    stated = colours if colours != YCBCR or page.compression == _APERIO_YCBCR else RGB
    bits = page.bitspersample
    if not isinstance(bits, int):
        raise RefusedImage(f"the samples of the TIFF have {bits} bits", expected="equal bits for all samples")
    if page.compression in (_JPEG2000, _APERIO_RGB, _APERIO_YCBCR):
        bits = _check_codestream(page)
    samples, palette = int(page.samplesperpixel), None
    if colours == PALETTE:
        palette = _palette(page)
    described = [_EXTRA.get(int(kind), UNSPECIFIED) for kind in page.extrasamples or ()]
    count = samples - (3 if colours in (RGB, YCBCR) else 1)
    extra = (*described, *[UNSPECIFIED] * (count - len(described)))[: max(count, 0)]
    if extra and page.compression in _JPEG:
        raise RefusedImage(
            f"the TIFF's JPEG data have {counted(samples, 'sample')} per pixel", expected="1 or 3"
        )
    # The statistics of a palette's positions mean nothing.
    highest = None if colours == PALETTE else _largest(page.tags, ("MaxSampleValue", "SMaxSampleValue"))
    return Header(np.dtype(page.dtype), samples, stated, tuple(extra), bits, highest, palette), notes


def _decoded_colours(page: tifffile.TiffPage, colours: str) -> tuple[str, tuple[str, ...]]:
    """The colours that lie in the data, by the tag and by what compressed data state themselves."""
    compression = int(page.compression)
    if compression in _JPEG:
        return _jpeg(page, colours)
    if compression in (_APERIO_YCBCR, _APERIO_RGB) and colours in (RGB, YCBCR):
        page.photometric, page.subsampling = tifffile.PHOTOMETRIC.RGB, None
        return (YCBCR if compression == _APERIO_YCBCR else RGB), ()
    if colours == YCBCR:
        raise RefusedImage(
            "the TIFF's colours are YCbCr, and not JPEG-compressed",
            expected="RGB, grey or JPEG",
            advice="save it as RGB",
        )
    if compression not in {*_OF_BYTES, *_FAX, *_OWN_COLOURS, _JPEG2000}:
        name = getattr(page.compression, "name", compression)
        raise RefusedImage(
            f"the TIFF's compression {name} is not supported", advice="save it with LZW or deflate"
        )
    if compression in _OWN_COLOURS:
        check_decoded_shape(page)
    predictor = int(page.predictor)
    is_predicted = predictor == _DIFFERENCES and compression in _PREDICTED
    if predictor != 1 and compression not in _OWN_COLOURS and not is_predicted:
        raise RefusedImage(
            f"the TIFF states predictor {predictor}, which its compression does not have",
            advice="save it with LZW or deflate",
        )
    return colours, ()


def _jpeg(page: tifffile.TiffPage, colours: str) -> tuple[str, tuple[str, ...]]:
    data = first_segment(page)
    if data is None:
        return colours, ()
    # Hamamatsu keeps the head of its JPEG data apart.
    frame = jpeg_header((page.jpegheader or b"") + data)
    if page.jpegheader is None:
        # libjpeg makes RGB of grey.
        samples = page.samplesperpixel if frame.components == 1 else frame.components
        check_shape(page, frame.height, frame.width, samples)
    if colours not in (RGB, YCBCR):
        return colours, ()
    if page.planarconfig != 1:
        if colours == YCBCR:
            raise RefusedImage("the TIFF's colours are YCbCr in separate planes", advice="save it as RGB")
        return colours, ()
    inside = frame.colours or colours
    if inside == YCBCR:
        _check_ycbcr(page)
    # What tifffile tells its decoder.
    page.photometric = tifffile.PHOTOMETRIC.YCBCR if inside == YCBCR else tifffile.PHOTOMETRIC.RGB
    if inside == colours:
        return inside, ()
    return inside, (f"the TIFF states {colours}, its JPEG data are {inside}, and read as that",)


def _check_ycbcr(page: tifffile.TiffPage) -> None:
    """Raises RefusedImage for YCbCr other than JFIF's, which is all that JPEG decoders know."""
    for code, usual in ((529, _BT601), (532, _FULL_RANGE)):
        value = page.tags.valueof(code)
        if value is None:
            continue
        numbers: np.ndarray = np.ravel(value).astype(float)
        if len(numbers) == 2 * len(usual):
            numbers = numbers[::2] / np.maximum(numbers[1::2], 1e-9)
        if numbers.shape != (len(usual),) or not np.allclose(numbers, usual, rtol=0.01, atol=0.01):
            raise RefusedImage(
                f"the TIFF's YCbCr is of another kind than JPEG's (tag {code})", advice="save it as RGB"
            )


def _check_codestream(page: tifffile.TiffPage) -> int | None:
    """Bits of JPEG 2000 data, which may be fewer than the tag states."""
    data = first_segment(page)
    if data is None:
        return None
    found = jpeg2000_header(data)
    check_shape(page, found.height, found.width, len(found.bits))
    if found.is_signed or found.is_subsampled or len({*found.bits}) > 1:
        raise RefusedImage(
            "the JPEG 2000 data have signed, subsampled or unequal components",
            advice="save it as RGB, or rename a slide of Aperio's to .svs, which OpenSlide reads",
        )
    if page.compression == _APERIO_YCBCR and found.is_transformed:
        raise RefusedImage(
            "the TIFF states YCbCr in JPEG 2000, its data are a transform of RGB", advice="save it as RGB"
        )
    return found.bits[0]


def _palette(page: tifffile.TiffPage) -> np.ndarray:
    """uint8 [K, 3]; entries are 16 bits, by the standard, and 8 where none is larger, as libtiff reads them."""
    table = page.colormap
    if table is None or table.ndim != 2 or len(table) != 3:
        raise RefusedImage("the TIFF's palette is missing")
    table = np.asarray(table)
    return (table >> 8 if table.max(initial=0) > 255 else table).T.astype(np.uint8)


def _largest(tags: tifffile.TiffTags, names: tuple[str, ...]) -> int | None:
    values = [value for name in names if (value := tags.valueof(name)) is not None]
    if not values:
        return None
    largest = max(float(np.max(np.ravel(value))) for value in values)
    if not np.isfinite(largest) or largest != int(largest):
        raise UserError(f"the header states a largest level of {largest}", expected="a whole number")
    return int(largest)
