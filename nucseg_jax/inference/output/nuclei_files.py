"""Tables and outlines of an image's nuclei, written as they are found: CSV, Parquet and GeoJSON."""

import contextlib
import csv
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.nuclei.geojson import Color, features
from nucseg_jax.inference.nuclei.measure import COLUMNS, Table

_DECIMALS = 4
# Parquet files of many small groups read slowly.
_GROUP_ROWS = 50_000


def _schema(columns: Mapping[str, Any]) -> pa.Schema:
    return pa.schema(
        [
            (name, pa.string() if dtype is object else pa.from_numpy_dtype(dtype))
            for name, dtype in columns.items()
        ]
    )


class NucleiFiles:
    """The three files of an image, open; see `open_nuclei_files`."""

    def __init__(
        self,
        stem: str,
        geojson: TextIO,
        table_csv: TextIO,
        parquet: pq.ParquetWriter,
        colors: Mapping[str, Color],
        columns: Mapping[str, Any],
    ):
        self._stem = stem
        self._colors = colors
        self._schema = _schema(columns)
        self._geojson = geojson
        self._csv = csv.writer(table_csv, lineterminator="\n")
        self._parquet = parquet
        self._waiting: list[pa.RecordBatch] = []
        self._separator = "\n"
        self._csv.writerow(columns)
        self._geojson.write('{"type":"FeatureCollection","features":[')

    def add(self, table: Table, polygons: list[shapely.Polygon]) -> None:
        """Adds nuclei."""
        if not polygons:
            return
        for feature in features(self._stem, polygons, table, self._colors):
            self._geojson.write(self._separator + feature)
            self._separator = ",\n"
        rounded = [
            np.round(column, _DECIMALS).tolist() if column.dtype.kind == "f" else column.tolist()
            for column in table.values()
        ]
        self._csv.writerows(zip(*rounded, strict=True))
        self._waiting.append(
            pa.RecordBatch.from_arrays([pa.array(c) for c in table.values()], schema=self._schema)
        )
        if sum(len(batch) for batch in self._waiting) >= _GROUP_ROWS:
            self._write_waiting()

    def finish(self) -> None:
        """Writes what is left."""
        self._geojson.write("\n]}\n")
        if self._waiting:
            self._write_waiting()

    def _write_waiting(self) -> None:
        self._parquet.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting = []


@contextlib.contextmanager
def open_nuclei_files(
    stem: str,
    geojson: pathlib.Path,
    table_csv: pathlib.Path,
    table_parquet: pathlib.Path,
    colors: Mapping[str, Color],
    columns: Mapping[str, Any] = COLUMNS,
) -> Iterator[NucleiFiles]:
    """The three files, which appear when the block ends without an error, and not at all after one.

    Args:
      stem: of the image.
      geojson, table_csv, table_parquet: the files.
      colors: of classes, by name.
      columns: of the tables that will be added, and their dtypes: `COLUMNS` or `COLUMNS_WITH_CLASS_PROBABILITY`.
    """
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(atomic_write(path)) for path in (geojson, table_csv, table_parquet)]
        with (
            parts[0].open("w", encoding="utf-8") as text,
            parts[1].open("w", encoding="utf-8", newline="") as lines,
            pq.ParquetWriter(parts[2], _schema(columns)) as parquet,
        ):
            files = NucleiFiles(stem, text, lines, parquet, colors, columns)
            yield files
            files.finish()
