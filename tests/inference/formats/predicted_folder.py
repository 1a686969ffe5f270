"""A folder as `predict` leaves it, from images of random blobs and a model that is a line of numpy."""

import pathlib

import numpy as np
import zarr
from scipy import ndimage

from nucseg_jax.cli.predict import data_facts
from nucseg_jax.core.files import write_json
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.source import array_source
from nucseg_jax.inference.output.output_files import SUMMARY, OutputFiles, output_stem
from nucseg_jax.inference.output.write_images import write_images
from nucseg_jax.inference.tiling.job import plan_job
from nucseg_jax.inference.tiling.stream import Failed, infer, read_events
from tests.inference.by_colour import ByColour

MICRONS_PER_PX = 0.25


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: dark blobs, some with holes, some cut by the image's edges, of every class."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width)), 3)
    is_dark = (noise > 0.08) ^ (rng.random((height, width)) < 0.01)
    image = np.where(is_dark[..., None], 40, 240).astype(np.uint8).repeat(3, axis=-1)
    number, _ = ndimage.label(is_dark)
    image[..., 1] = np.where(is_dark, number % 5, 240)
    image[20:60, 20:60] = 240
    image[25:50, 25:50] = (40, 3, 40)
    image[34:40, 34:40] = 240
    return image


def predicted(folder: pathlib.Path, images: dict[str, np.ndarray], *, channels: int = 5) -> pathlib.Path:
    """Writes the outputs of images by their names, and summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        plan_job(
            pathlib.Path(name),
            array_source(image),
            microns_per_px=MICRONS_PER_PX,
            model_microns_per_px=MICRONS_PER_PX,
            tile_px=64,
            overlap_px=16,
        )
        for name, image in images.items()
    ]
    entries = list(
        write_images(
            infer(read_events(jobs), ByColour(channels)),
            lambda job: (OutputFiles(folder, output_stem(job.path)), "key"),
            rule=NucleusRule(smallest_um2=0.0),
            channels=channels,
            info=PANNUKE,
        )
    )
    assert not any(isinstance(entry, Failed) for entry in entries)
    facts = data_facts(PANNUKE, num_classes=channels)
    write_json(folder / SUMMARY, {"run": "a", **facts, "images": entries, "failed": []})
    return folder


def numbers_of(folder: pathlib.Path, stem: str) -> np.ndarray:
    """uint32 [H, W], the numbers of nuclei that `predict` wrote."""
    return np.asarray(zarr.open_group(folder / f"{stem}.probability.zarr", mode="r")["nucleus"])
