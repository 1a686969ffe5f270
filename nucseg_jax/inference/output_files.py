"""What `predict` writes for an image, and how it is called."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class OutputFiles:
    """Paths of the outputs of one image.

    Attributes:
      folder: where they lie.
      stem: the image's name without its ending.
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
        return self.folder / f".{self.stem}.probability.zarr"

    @property
    def journal(self) -> pathlib.Path:
        """How far the image has come."""
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
