import numpy as np
from PIL import ImageFont

from nucseg_jax.evaluation.contact_sheet import contact_sheet, shortened

PICTURE = np.random.default_rng(0).integers(0, 256, (200, 180, 3), np.uint8)


def holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether the picture stands somewhere in the sheet, unchanged."""
    height, width = picture.shape[:2]
    corners = np.argwhere((sheet == picture[0, 0]).all(axis=-1))
    return any(np.array_equal(sheet[y : y + height, x : x + width], picture) for y, x in corners)


def test_long_headings_are_broken_and_hide_no_picture():
    short = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=["c"])
    words = "a heading with many words that does not fit above one picture"
    long = contact_sheet([[PICTURE] * 2], headings=[words, "b"], captions=["c"])
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > short.shape[0] + 20
    assert holds(long, PICTURE)


def test_one_caption_a_picture_stands_below_each():
    """The right half changes by the second picture's caption alone."""
    one = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=["left"])
    two = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=[["left", "right"]])
    middle = one.shape[1] // 2
    assert np.array_equal(one[:, :middle], two[:, :middle])
    assert not np.array_equal(one[:, middle:], two[:, middle:])
    assert holds(two, PICTURE)


def test_a_long_file_name_reaches_into_no_other_picture_and_keeps_its_place():
    """Shortened in its middle: what stands behind it, the place, is drawn as it is."""
    name = "TCGA-18-5592-01Z-00-DX1.a-very-long-name-of-a-slide.tif at 256, 512"
    long = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=[[name, "right"]])
    none = contact_sheet([[PICTURE] * 2], headings=["a", "b"], captions=[["", "right"]])
    middle = long.shape[1] // 2
    assert not np.array_equal(long[:, :middle], none[:, :middle])
    assert np.array_equal(long[:, middle:], none[:, middle:])
    font = ImageFont.load_default(15)
    short = shortened(name, font, 180)
    assert font.getlength(short) <= 180 < font.getlength(name)
    assert short.startswith("TCGA")
    assert short.endswith(" at 256, 512")
    assert shortened("slide7.png at 256, 512", font, 300) == "slide7.png at 256, 512"
