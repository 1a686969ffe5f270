"""The formats that nuclei can be written in, by name. Quick to import: a writer is imported when it is called for."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.inference.formats.options import Options

if TYPE_CHECKING:
    from nucseg_jax.inference.formats.finished_image import FinishedImage

Writer: TypeAlias = "Callable[[FinishedImage, pathlib.Path, Options], None]"


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      ending: what follows the stem and a dot in its file's name; see `OutputFiles`.
      content: what it holds, and for whom.
      writer: imports and returns the function that writes a file of an image, atomically.
      extra: the extra whose packages it needs.
      has_outlines: they are simplified where the options ask for it.
      version: raised when the same input gives another file, so that files of before are made again.
    """

    ending: str
    content: str
    writer: Callable[[], Writer]
    extra: str = "images"
    has_outlines: bool = False
    version: int = 1


def _labels() -> Writer:
    from nucseg_jax.inference.formats.labels import write_labels

    return write_labels


def _geoparquet() -> Writer:
    from nucseg_jax.inference.formats.geoparquet import write_geoparquet

    return write_geoparquet


def _geojson_gz() -> Writer:
    from nucseg_jax.inference.formats.geojson_gz import write_geojson_gz

    return write_geojson_gz


def _anndata() -> Writer:
    from nucseg_jax.inference.formats.anndata_file import write_anndata

    return write_anndata


def _ome_zarr() -> Writer:
    from nucseg_jax.inference.formats.ome_zarr import write_ome_zarr

    return write_ome_zarr


def _spatialdata() -> Writer:
    from nucseg_jax.inference.formats.spatialdata_zarr import write_spatialdata

    return write_spatialdata


def _coco() -> Writer:
    from nucseg_jax.inference.formats.coco import write_coco

    return write_coco


FORMATS: Mapping[str, Format] = {
    "labels": Format("labels.ome.tif", "a label image, tiled TIFF", _labels),
    "geoparquet": Format("geo.parquet", "outlines and measures, GeoParquet", _geoparquet, has_outlines=True),
    "geojson_gz": Format("geojson.gz", "the GeoJSON, compressed", _geojson_gz, has_outlines=True),
    "anndata": Format("nuclei.h5ad", "measures, AnnData", _anndata, extra="formats"),
    "ome_zarr": Format("nuclei.ome.zarr", "probability and labels, OME-Zarr", _ome_zarr),
    "spatialdata": Format(
        "spatialdata.zarr", "labels, outlines and measures, SpatialData", _spatialdata, has_outlines=True
    ),
    "coco": Format("coco.json", "instances, COCO", _coco),
}


def named_formats(names: Sequence[str], options: Options) -> dict[str, Format]:
    """Returns the formats of these names, each once.

    Raises:
      UserError: a name is unknown, there is none, or an option concerns none of them.
    """
    for name in names:
        if name not in FORMATS:
            raise UserError(
                f"there is no format {name!r}{did_you_mean(name, FORMATS)}",
                expected="some of " + ", ".join(FORMATS),
            )
    if not names:
        raise UserError("--formats names no format", expected="some of " + ", ".join(FORMATS))
    chosen = {name: FORMATS[name] for name in names}
    if options.checked().simplify_px and not any(each.has_outlines for each in chosen.values()):
        raise UserError(
            f"--simplify_px concerns outlines; without them: {', '.join(chosen)}",
            expected="one of " + ", ".join(name for name, each in FORMATS.items() if each.has_outlines),
            advice="leave it out",
        )
    return chosen
