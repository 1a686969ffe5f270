"""What `predict` wrote, to be compared."""

import pathlib

import numpy as np
import zarr


def contents(out: pathlib.Path, stem: str) -> dict[str, object]:
    """All that was written for an image, comparable."""
    store = zarr.open_group(out / f"{stem}.probability.zarr", mode="r")
    found: dict[str, object] = {name: np.asarray(array).tolist() for name, array in store.arrays()}
    for ending in ("mask.png", "overlay.png", "geojson", "nuclei.csv", "nuclei.parquet"):
        found[ending] = (out / f"{stem}.{ending}").read_bytes()
    return found
