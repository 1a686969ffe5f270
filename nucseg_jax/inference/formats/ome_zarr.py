"""OME-Zarr 0.4: probability as an image, numbers of nuclei as its labels, both with smaller levels.

0.4 is what most readers know; https://ngff.openmicroscopy.org/0.4/.
"""

import pathlib
from typing import Any

import numpy as np
import zarr

from nucseg_jax.inference.formats.finished_image import NUCLEUS, PROBABILITY, FinishedImage
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.pyramid import AXES, every_second, mean_of_four, write_levels
from nucseg_jax.inference.formats.store_folder import new_store

VERSION = "0.4"


def write_ome_zarr(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes the folder, which appears when it is whole; probability is in 255ths, as `predict` keeps it."""
    del options
    with new_store(path, zarr_format=2) as (group, _):
        datasets = write_levels(
            group, image.map(PROBABILITY), dtype=np.uint8, px=image.microns_per_px, halve=mean_of_four
        )
        _describe(group, PROBABILITY, datasets, "mean")
        labels = group.create_group("labels")
        labels.attrs["labels"] = [NUCLEUS]
        nucleus = labels.create_group(NUCLEUS)
        datasets = write_levels(
            nucleus,
            image.map(NUCLEUS),
            dtype=image.label_dtype,
            px=image.microns_per_px,
            halve=every_second,
            convert=image.labels,
        )
        _describe(nucleus, NUCLEUS, datasets, "nearest")
        nucleus.attrs["image-label"] = {"version": VERSION, "source": {"image": "../../"}}


def _describe(group: zarr.Group, name: str, datasets: list[dict[str, Any]], kind: str) -> None:
    group.attrs["multiscales"] = [
        {
            "version": VERSION,
            "name": name,
            "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in AXES],
            "datasets": datasets,
            "type": kind,
        }
    ]
