"""An image that is read by regions, whatever file it lies in."""

import dataclasses
import threading
from collections.abc import Callable, Sequence

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.images.meaning import meaning_of_array
from nucseg_jax.images.pixels import as_rgb
from nucseg_jax.images.resolution import Resolution

# Formats that can only be decoded whole (PNG, JPEG, compressed TIFF without tiles) up to this many pixels: below the
# limit at which Pillow speaks of a decompression bomb, and 240 MB as RGB.
LARGEST_WHOLE_PX = 80_000_000
# No slide scanner gives more; a header that states more is damaged or a trap.
LARGEST_SIDE_PX = 500_000


class RefusedImage(UserError):  # noqa: N818 - the image is what is named
    """An image that cannot be used, and why; other images are not concerned."""


def _nothing() -> None:
    return None


def _no_notes() -> tuple[str, ...]:
    return ()


@dataclasses.dataclass(frozen=True)
class Source:
    """Pixels of an image by region.

    Attributes:
      height, width: px at full resolution.
      resolution: as the file states it; None = it does not.
      read: `read(top, left, height, width)` gives uint8 [height, width, 3], RGB; a region inside the image. May be
        called from several threads.
      read_overview: `read_overview(longest_px)` gives the whole image, smaller, uint8 [h, w, 3], its longer side at
        least `longest_px` if a copy reaches it; None where the file holds no copy that can be decoded whole.
      close: gives the file back.
      series: equal for all files of one slide, where a format cuts a slide into files; None elsewhere.
      objective_power: magnification of the objective, as the file states it; None = it does not.
      notes: `notes()` gives what a user should know of the image as far as it has been read: assumptions, warnings of
        the decoder, levels that fill a tiny share of the range. The longer it was read, the more they may be.
      is_turned: the file asks its readers to turn or mirror what it stores; `read` gives it turned.
    """

    height: int
    width: int
    resolution: Resolution | None
    read: Callable[[int, int, int, int], np.ndarray]
    read_overview: Callable[[int], np.ndarray] | None = None
    close: Callable[[], None] = _nothing
    series: str | None = None
    objective_power: float | None = None
    notes: Callable[[], tuple[str, ...]] = _no_notes
    is_turned: bool = False


def pyramid_overview(
    levels: Sequence[tuple[tuple[int, int], Callable[[], np.ndarray]]],
) -> Callable[[int], np.ndarray] | None:
    """The `read_overview` of a source that holds smaller copies.

    Args:
      levels: height and width of each copy, the largest first, and what decodes it to uint8 [h, w, 3].
    """
    small = [(size, decode) for size, decode in levels if 0 < size[0] * size[1] <= LARGEST_WHOLE_PX]
    if not small:
        return None

    def read_overview(longest_px: int) -> np.ndarray:
        reaching = [decode for size, decode in small if max(size) >= longest_px]
        decode = reaching[-1] if reaching else small[0][1]
        return decode()

    return read_overview


def array_source(pixels: np.ndarray) -> Source:
    """A source over an array, whose meaning is `meaning.meaning_of_array`.

    Args:
      pixels: [H, W], [H, W, 1 | 2 | 3 | 4]; uint8, uint16 or bool.

    Raises:
      UserError: another shape or dtype, or no pixel.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise RefusedImage(f"an array of shape {pixels.shape}", expected="[H, W] or [H, W, channels]")
    check_size(*pixels.shape[:2])
    meaning = meaning_of_array(pixels.dtype, pixels.shape[-1])
    height, width = pixels.shape[:2]

    def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        return as_rgb(pixels[top : top + rows, left : left + columns], meaning)

    return Source(height, width, None, read)


def whole_source(
    height: int, width: int, resolution: Resolution | None, decode: Callable[[], np.ndarray]
) -> Source:
    """A source over pixels that can only be decoded together, and are when the first region is asked for.

    Args:
      height, width: px.
      decode: gives uint8 [height, width, 3].
    """
    lock = threading.Lock()
    decoded: list[np.ndarray] = []

    def read(top: int, left: int, rows: int, columns: int) -> np.ndarray:
        with lock:
            if not decoded:
                decoded.append(decode())
        return decoded[0][top : top + rows, left : left + columns]

    return Source(height, width, resolution, read, close=decoded.clear)


def check_size(height: int, width: int, *, whole: bool = False) -> None:
    """Raises RefusedImage for an empty image, or a header that asks for more than the stated limits.

    Args:
      height, width: px.
      whole: the format can only be decoded entirely.
    """
    if min(height, width) < 1:
        raise RefusedImage(f"the image is empty: {height} x {width} px")
    if max(height, width) > LARGEST_SIDE_PX:
        raise RefusedImage(
            f"the header states {height:,} x {width:,} px", expected=f"at most {LARGEST_SIDE_PX:,} px a side"
        )
    if whole and height * width > LARGEST_WHOLE_PX:
        raise RefusedImage(
            f"the header states {height:,} x {width:,} px, and this format can only be decoded whole",
            expected=f"at most {LARGEST_WHOLE_PX:,} px in all",
            advice="convert it to a tiled TIFF or Zarr, which are read by strips",
        )
