"""Patches of different images that look the same: copies that were saved again, brightened or blurred a little.

Every patch is kept as a grey thumbnail of 64 x 64 cells on disk, 4 KB each. Two comparisons, both of contrast with the
neighbourhood (a cell minus the mean of the 5 x 5 cells around it, limited softly so that no edge outweighs the rest):

1. Every pair by the correlation of 32 x 32 cells, as blocked matrix products; `LEAST_CORRELATION` makes a candidate.
2. Candidates by each of the 8 x 8 blocks of their 64 x 64 cells: `LEAST_SHARE` of the blocks that have contrast in one
   of the two must correlate by 0.5. A shared black border, a straight edge of glass or a region that was cut out alike
   fills few blocks, and the others disagree.

Patches that could be taken for each other by chance are left out: those with contrast in fewer than `LEAST_BLOCKS`
blocks (blank glass) and those that resemble themselves when shifted (a repeated texture).

Measured on 954 patches of 256 px (MoNuSeg 270, BBBC038 107, CoNSeP 432, PanNuke breast 25, synthetic 120), of which 14
are left out. Different patches correlate by at most 0.20, and at most a share of 0.09 of their blocks agrees. For
altered copies, the least of all patches (correlation, share):

    JPEG of quality 75                     0.99, 1.00        Gaussian blur of 1 px      0.99, 1.00
    JPEG of quality 30                     0.88, 0.84        Gaussian blur of 2 px      0.97, 1.00
    brightness x 0.8                       0.98, 1.00        Gaussian blur of 3 px      0.91, 0.97
    contrast x 0.7                         0.98, 1.00        half the resolution        0.99, 1.00
    blur of 1 px, x 0.9 + 10, JPEG 60      0.95, 0.98        shifted by 1 px            0.87, 0.94

No pair is found among 300 of these patches each with the same disc, half, strip or oblique half of it kept and glass or
black around, nor with the same black border, nor among patches of glass or of one repeated texture. Copies that were
shifted by more than one px, turned or mirrored are not found. 50,000 patches are compared in 192 s on two cores that
were shared with six other programs (load 6), in 400 MB of memory.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
import PIL.Image
import scipy.ndimage

THUMBNAIL_PX = 64
LEAST_CORRELATION = 0.6
LEAST_SHARE = 0.75
LEAST_BLOCKS = 24
_BLOCK_CORRELATION = 0.5
_BLOCK_CONTRAST = 0.2
_BLOCKS = 8
# Cells around a cell that its contrast is taken with.
_NEIGHBOURHOOD = 5
# Grey levels at which contrast counts half: above the noise of JPEG, below that of nuclei.
_HALF_CONTRAST = 4.0
# A texture repeats where it correlates so with itself, shifted by an eighth of the patch or more.
_REPEATS = 0.5
_LEAST_SHIFT = 4
# Thumbnails compared with as many others by one matrix product.
_CHUNK = 2048


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Outcome of the comparison of P patches.

    Attributes:
      pairs: int64 [D, 2], positions of two patches, the earlier one first, sorted. Of k patches that are all alike
        k - 1 pairs are kept, which join them: whatever division separates two of them separates a pair.
      left_out: patches that were not compared.
    """

    pairs: np.ndarray
    left_out: int


class Comparison:
    """Takes the patches of a data set one by one and compares all of them in the end; 20 bytes of memory a patch."""

    def __init__(self, folder: pathlib.Path):
        """Takes a folder on a disk with room for 4 KB a patch; the file has no name there, so no kill leaves it."""
        self._thumbnails = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._images: list[int] = []
        self._positions: list[int] = []
        self._numbers: dict[str, int] = {}
        self._count = 0

    def add(self, image: np.ndarray, image_name: str) -> None:
        """Takes the next patch.

        Args:
          image: uint8 [P, P, 3], RGB.
          image_name: patches of the same image are not compared; '' = unknown, compared with all.
        """
        position, self._count = self._count, self._count + 1
        thumbnail = thumbnail_of(image)
        if not is_distinctive(thumbnail):
            return
        number = self._numbers.setdefault(image_name or f"\0{position}", len(self._numbers))
        self._positions.append(position)
        self._images.append(number)
        self._thumbnails.write(thumbnail.tobytes())

    def finish(self) -> NearDuplicates:
        """Compares all patches; closes the file."""
        with self._thumbnails:
            pairs = self._joined() if len(self._numbers) > 1 else []
        positions = np.array(self._positions, np.int64)
        found = positions[np.array(sorted(pairs), np.int64).reshape(-1, 2)]
        return NearDuplicates(found, self._count - len(positions))

    def _joined(self) -> list[tuple[int, int]]:
        images = np.array(self._images, np.int32)
        # The first of the patches that each is joined with.
        first: np.ndarray = np.arange(len(images))
        pairs = []
        for start, thumbnails, described in self._chunks(0):
            for other_start, others, described_others in self._chunks(start):
                is_candidate = described @ described_others.T >= LEAST_CORRELATION
                is_candidate &= (
                    images[start : start + len(described), None]
                    != images[None, other_start : other_start + len(described_others)]
                )
                for row in np.flatnonzero(is_candidate.any(axis=1)).tolist():
                    columns = np.flatnonzero(is_candidate[row])
                    columns = columns[columns + other_start > row + start]
                    columns = columns[first[columns + other_start] != first[row + start]]
                    is_same = share_alike(thumbnails[row], others[columns]) >= LEAST_SHARE
                    for column in (columns[is_same] + other_start).tolist():
                        if first[column] != first[row + start]:
                            pairs.append((row + start, column))
                            one, other = sorted((first[column], first[row + start]))
                            first[first == other] = one
        return pairs

    def _chunks(self, start: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Thumbnails, uint8 [N, 64, 64], and what they are compared by, from a position on."""
        for first in range(start, len(self._images), _CHUNK):
            self._thumbnails.seek(first * THUMBNAIL_PX**2)
            content = self._thumbnails.read(_CHUNK * THUMBNAIL_PX**2)
            thumbnails = np.frombuffer(content, np.uint8).reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)
            yield first, thumbnails, descriptors(thumbnails)


def thumbnail_of(image: np.ndarray) -> np.ndarray:
    """Returns an image, uint8 [H, W, 3], in grey: uint8 [64, 64]."""
    grey = PIL.Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((THUMBNAIL_PX, THUMBNAIL_PX), PIL.Image.Resampling.BOX))


def descriptors(thumbnails: np.ndarray) -> np.ndarray:
    """Computes the contrast of 32 x 32 cells, free of its mean, of norm 1: products of two are correlations.

    Args:
      thumbnails: uint8 [N, 64, 64].

    Returns:
      float32 [N, 1024].
    """
    half = THUMBNAIL_PX // 2
    cells = thumbnails.reshape(-1, half, 2, half, 2).astype(np.float32).mean(axis=(2, 4))
    contrast = _contrast(cells).reshape(len(cells), -1)
    contrast -= contrast.mean(axis=1, keepdims=True)
    unit: np.ndarray = contrast / np.maximum(np.linalg.norm(contrast, axis=1, keepdims=True), 1e-6)
    return unit


def is_distinctive(thumbnail: np.ndarray) -> bool:
    """Returns True if a patch, uint8 [64, 64], has contrast and no repeated texture, so that it can be compared."""
    if np.count_nonzero(_blocks(thumbnail[None]).std(axis=2) >= _BLOCK_CONTRAST) < LEAST_BLOCKS:
        return False
    cells = descriptors(thumbnail[None]).reshape(THUMBNAIL_PX // 2, -1)
    # Of the patch shifted by so many cells, its edges brought round.
    likeness = np.fft.irfft2(np.abs(np.fft.rfft2(cells)) ** 2, s=cells.shape)
    shift = np.minimum(np.arange(len(cells)), len(cells) - np.arange(len(cells)))
    is_far = np.maximum(shift[:, None], shift[None]) >= _LEAST_SHIFT
    return bool(likeness[is_far].max() < _REPEATS)


def share_alike(thumbnail: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes the share of the blocks that look the same, of those with contrast in one of the two.

    Args:
      thumbnail: uint8 [64, 64].
      others: uint8 [N, 64, 64].

    Returns:
      float [N], 0..1; 0 where fewer than `LEAST_BLOCKS` have contrast.
    """
    one, many = _blocks(thumbnail[None]), _blocks(others)
    deviation, deviations = one.std(axis=2), many.std(axis=2)
    has_contrast = np.maximum(deviation, deviations) >= _BLOCK_CONTRAST
    correlation = (one * many).mean(axis=2) / np.maximum(deviation * deviations, 1e-3)
    count = has_contrast.sum(axis=1)
    alike = (has_contrast & (correlation >= _BLOCK_CORRELATION)).sum(axis=1)
    return np.where(count >= LEAST_BLOCKS, alike / np.maximum(count, 1), 0.0)


def _blocks(thumbnails: np.ndarray) -> np.ndarray:
    """Contrast of 8 x 8 blocks, each free of its mean: float32 [N, 64, 64] = thumbnail, block, cell."""
    side = THUMBNAIL_PX // _BLOCKS
    contrast = _contrast(thumbnails.astype(np.float32))
    blocks = contrast.reshape(-1, _BLOCKS, side, _BLOCKS, side).transpose(0, 1, 3, 2, 4)
    blocks = blocks.reshape(-1, _BLOCKS**2, side**2)
    centred: np.ndarray = blocks - blocks.mean(axis=2, keepdims=True)
    return centred


def _contrast(cells: np.ndarray) -> np.ndarray:
    """Difference of each cell, float32 [N, H, W], from its neighbourhood, limited softly to -1..1."""
    around = scipy.ndimage.uniform_filter(cells, size=(0, _NEIGHBOURHOOD, _NEIGHBOURHOOD), mode="reflect")
    difference = cells - around
    limited: np.ndarray = difference / (np.abs(difference) + _HALF_CONTRAST)
    return limited
