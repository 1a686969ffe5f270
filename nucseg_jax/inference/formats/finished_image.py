"""An image that `predict` finished, read in parts: nuclei in batches, maps in bands of rows."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import zarr

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.inference.output.output_files import OutputFiles

# Nuclei that are held at a time.
BATCH_NUCLEI = 20_000
# Columns that tell which nucleus it is and where it lies; all others are measures.
NOT_MEASURES = ("nucleus", "class", "x_px", "y_px", "x_um", "y_um")
PROBABILITY, NUCLEUS = "probability", "nucleus"
_BEGIN = '{"type":"FeatureCollection","features":['
_SAME_AREA = 1e-6


class Nuclei(NamedTuple):
    """Nuclei of a batch, in the order of their numbers.

    Attributes:
      table: a row a nucleus, columns as in the Parquet file.
      features: GeoJSON of each, one line without its end.
      outlines: polygons [K], px, from the image's upper left corner, y down.
    """

    table: pa.Table
    features: list[str]
    outlines: np.ndarray


@dataclasses.dataclass(frozen=True)
class FinishedImage:
    """A finished image.

    Attributes:
      files: its outputs.
      input: path of the image, as `predict` was given it.
      height, width: px.
      microns_per_px: of the image.
      nuclei: how many it has.
      class_names: of the model, in the order of its labels; one name where it knows no classes.
      highest: number of a nucleus where numbers have gaps, as those of other programs may; None = `nuclei`.
    """

    files: OutputFiles
    input: pathlib.Path
    height: int
    width: int
    microns_per_px: float
    nuclei: int
    class_names: tuple[str, ...]
    highest: int | None = None

    def columns(self) -> pa.Schema:
        """Returns names and types of the table's columns.

        Raises:
          UserError: the table cannot be read.
        """
        try:
            return pq.read_schema(self.files.parquet)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(reason_of(error)) from None

    def measures(self) -> list[str]:
        """Returns the names of columns that hold measures."""
        return [name for name in self.columns().names if name not in NOT_MEASURES]

    def batches(self, size: int = BATCH_NUCLEI) -> Iterator[Nuclei]:
        """Yields all nuclei, `size` at a time.

        Raises:
          UserError: table and outlines are of different nuclei, or more or fewer than the summary states.
        """
        count = 0
        try:
            with (
                self.files.geojson.open(encoding="utf-8") as lines,
                pq.ParquetFile(self.files.parquet) as parquet,
            ):
                features = _features(lines)
                for batch in parquet.iter_batches(batch_size=size):
                    table = pa.Table.from_batches([batch])
                    texts = list(itertools.islice(features, len(table)))
                    outlines = shapely.from_geojson(texts)
                    self._require_same(table, outlines)
                    count += len(table)
                    yield Nuclei(table, texts, outlines)
                if next(features, None) is not None or count != self.nuclei:
                    raise self._damaged("its table and its outlines have different numbers of nuclei")
        except (OSError, ValueError, KeyError, pa.ArrowException, shapely.errors.ShapelyError) as error:
            if isinstance(error, UserError):
                raise
            raise self._damaged(reason_of(error)) from None

    def map(self, name: str) -> zarr.Array:
        """Opens `probability` or `nucleus`, [H, W].

        Raises:
          UserError: it is missing, or of another size than the summary states.
        """
        try:
            array = zarr.open_group(self.files.probability, mode="r").get(name)
        except Exception as error:  # Zarr meets damage with errors of every kind.
            raise self._damaged(reason_of(error)) from None
        if not isinstance(array, zarr.Array) or array.shape != (self.height, self.width):
            raise self._damaged(f"{self.files.probability.name} holds no {name} of its size")
        return array

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """Returns numbers of nuclei, uint32, as uint16 where all of the image's fit, else as uint32.

        Raises:
          UserError: one is higher than that of any nucleus.
        """
        if numbers.size and numbers.max() > self._highest:
            raise self._damaged(f"{self.files.probability.name} holds a nucleus that its table has not")
        return numbers.astype(self.label_dtype, copy=False)

    @property
    def label_dtype(self) -> type[np.unsignedinteger]:
        """The smallest dtype, uint16 or uint32, that holds all numbers of nuclei."""
        return np.uint16 if self._highest <= np.iinfo(np.uint16).max else np.uint32

    @property
    def _highest(self) -> int:
        return self.nuclei if self.highest is None else self.highest

    def _require_same(self, table: pa.Table, outlines: np.ndarray) -> None:
        """Compares areas: outlines lie along the edges of pixels, so that they are equal but for rounding."""
        if len(outlines) != len(table):
            raise self._damaged("it has fewer outlines than rows of the table")
        areas = shapely.area(outlines) * self.microns_per_px**2
        if not np.allclose(areas, table["area_um2"].to_numpy(), rtol=_SAME_AREA):
            raise self._damaged("the rows of its table and its outlines are of different nuclei")

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"the outputs of {self.input} in {self.files.folder} cannot be used: {reason}",
            expected="the files as predict wrote them",
            advice="rerun predict, which writes them again",
        )


def _features(lines: Iterator[str]) -> Iterator[str]:
    """Yields the features of a GeoJSON file of ours, which has one in each line."""
    if next(lines, "").rstrip("\n") != _BEGIN:
        raise ValueError("its GeoJSON is not the one that predict wrote")
    for line in lines:
        text = line.rstrip("\n").removesuffix(",")
        if text.startswith("]"):
            return
        yield text
    raise ValueError("its GeoJSON has no end")
