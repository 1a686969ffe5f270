"""PNGs of every depth, colour type and transparent colour are read as the standard says."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.source import RefusedImage

HEIGHT, WIDTH = 24, 40
GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6
SAMPLES = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, depth: int, colour_type: int, key: tuple[int, ...] = ()) -> bytes:
    """A PNG by the standard, without a library."""
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in pixels]
    elif depth == 8:
        rows = [row.astype(np.uint8).tobytes() for row in pixels]
    else:
        bits = np.unpackbits(pixels.reshape(len(pixels), -1, 1).astype(np.uint8), axis=-1)[..., -depth:]
        rows = [np.packbits(row.ravel()).tobytes() for row in bits]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour_type, 0, 0, 0)
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + transparent
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


KINDS = [(depth, GREY) for depth in (1, 2, 4, 8, 16)] + [(8, RGB), (16, RGB)]
WITH_ALPHA = [(depth, kind) for depth in (8, 16) for kind in (GREY_ALPHA, RGB_ALPHA)]


@pytest.mark.parametrize(
    ("depth", "colour_type", "is_keyed"),
    # The standard has a transparent colour only where there is no alpha.
    [(*kind, is_keyed) for kind in KINDS for is_keyed in (False, True)]
    + [(*kind, False) for kind in WITH_ALPHA],
)
def test_levels_alpha_and_transparent_colours_are_those_of_the_standard(
    depth, colour_type, is_keyed, tmp_path
):
    highest = (1 << depth) - 1
    generator = np.random.default_rng(depth)
    pixels = generator.integers(0, highest, (HEIGHT, WIDTH, SAMPLES[colour_type]), endpoint=True)
    key = tuple(int(value) for value in pixels[3, 5]) if is_keyed else ()
    (tmp_path / "a.png").write_bytes(png(pixels, depth, colour_type, key))
    alpha = np.ones((HEIGHT, WIDTH, 1))
    colour = pixels / highest
    if is_keyed:
        alpha[(pixels == key).all(axis=-1)] = 0
    elif colour_type in (GREY_ALPHA, RGB_ALPHA):
        colour, alpha = colour[..., :-1], colour[..., -1:]
    expected = np.broadcast_to(255 * (colour * alpha + 1 - alpha), (HEIGHT, WIDTH, 3))
    source = open_source(tmp_path / "a.png")
    rgb = source.read(0, 0, HEIGHT, WIDTH)
    # Alpha and colour are each rounded to 8 bits.
    assert np.abs(rgb - expected).max() <= (1.6 if colour_type in (GREY_ALPHA, RGB_ALPHA) else 0.5)


def test_a_png_of_several_frames_is_refused(tmp_path):
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(RefusedImage, match="2 frames"):
        open_source(tmp_path / "a.png")
