"""Names of the files that `predict` writes for an image."""

import dataclasses
import hashlib
import os
import pathlib

from nucseg_jax.core.files import temporary_path
from nucseg_jax.images.open_source import stem

# Bytes of a name on nearly every file system, without the longest of what is put around a stem:
# `.STEM.nuclei.parquet.0123abcd.part`.
LONGEST_STEM_BYTES = 255 - len(temporary_path(pathlib.Path(".nuclei.parquet")).name)
_DIGITS = 12
# Of a folder: all images of a command, written last; and what a process that writes there holds.
SUMMARY, LOCK = "summary.json", ".lock"


def output_stem(path: pathlib.Path) -> str:
    """Returns the name of an image's outputs: its own without the ending, shortened where it would be too long.

    A stem of more than `LONGEST_STEM_BYTES` bytes is cut between two characters, and `-` and 12 hexadecimal digits of
    the SHA-256 of the whole stem follow, so that two long names that begin alike stay two, and one is always cut alike.

    >>> output_stem(pathlib.Path("slides/a.1.ome.tif"))
    'a.1'
    """
    whole = os.fsencode(stem(path))
    if len(whole) <= LONGEST_STEM_BYTES:
        return stem(path)
    kept = whole[: LONGEST_STEM_BYTES - _DIGITS - 1].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(whole).hexdigest()[:_DIGITS]}"


@dataclasses.dataclass(frozen=True)
class OutputFiles:
    """Paths of the outputs of one image, and of what is beside them until it is finished.

    No working file ends as an output does, so that those of `a` and the outputs of an image called `.a` never meet.

    Attributes:
      folder: holds all of them.
      stem: what they begin with, from `output_stem`.
    """

    folder: pathlib.Path
    stem: str

    def _named(self, ending: str) -> pathlib.Path:
        return self.folder / f"{self.stem}.{ending}"

    @property
    def png_mask(self) -> pathlib.Path:
        """0 background, 255 nucleus."""
        return self._named("mask.png")

    @property
    def tiff_mask(self) -> pathlib.Path:
        """The same as a pyramid, for large images."""
        return self._named("mask.ome.tif")

    @property
    def geojson(self) -> pathlib.Path:
        """Outlines, as QuPath's detections."""
        return self._named("geojson")

    @property
    def csv(self) -> pathlib.Path:
        """A row a nucleus."""
        return self._named("nuclei.csv")

    @property
    def parquet(self) -> pathlib.Path:
        """The same, unrounded."""
        return self._named("nuclei.parquet")

    @property
    def overlay(self) -> pathlib.Path:
        """The image with outlines."""
        return self._named("overlay.png")

    @property
    def probability(self) -> pathlib.Path:
        """Zarr group: `probability` uint8, `nucleus` uint32, and `class` uint8 where there are classes; all [H, W]."""
        return self._named("probability.zarr")

    @property
    def unfinished(self) -> pathlib.Path:
        """The same while it grows."""
        return self.folder / f".{self.stem}.probability.unfinished"

    @property
    def journal(self) -> pathlib.Path:
        """The state of the image's output."""
        return self.folder / f".{self.stem}.journal.json"

    def mask(self, *, is_small: bool) -> pathlib.Path:
        """The mask, in the form that suits the image's size."""
        return self.png_mask if is_small else self.tiff_mask

    def finished(self, *, is_small: bool) -> list[pathlib.Path]:
        """All that is there in the end."""
        return [
            self.mask(is_small=is_small),
            self.geojson,
            self.csv,
            self.parquet,
            self.overlay,
            self.probability,
        ]
