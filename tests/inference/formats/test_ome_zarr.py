"""OME-Zarr 0.4 by its text: metadata and the bytes of a chunk, without zarr; and the levels by their definition."""

import dataclasses
import json
import zlib

import numpy as np
import pytest
import zarr

from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.ome_zarr import write_ome_zarr
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.formats.pyramid import mean_of_four
from tests.inference.formats.predicted_folder import MICRONS_PER_PX, numbers_of


def level(array) -> np.ndarray:
    """An array of Zarr 2 that lies in one chunk, by the format's text."""
    about = json.loads((array / ".zarray").read_text())
    assert (about["zarr_format"], about["order"], about["filters"]) == (2, "C", None)
    assert about["compressor"]["id"] == "zlib"
    assert about["dimension_separator"] == "/"
    content = zlib.decompress((array / "0" / "0").read_bytes())
    chunk = np.frombuffer(content, about["dtype"]).reshape(about["chunks"])
    return chunk[: about["shape"][0], : about["shape"][1]]


def attributes(group) -> dict:
    assert json.loads((group / ".zgroup").read_text()) == {"zarr_format": 2}
    return json.loads((group / ".zattrs").read_text())


def test_the_image_is_probability_and_its_labels_are_numbers(images, folder, tmp_path):
    image = images[0]
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(image, path, Options())
    store = zarr.open_group(image.files.probability, mode="r")
    np.testing.assert_array_equal(level(path / "0"), np.asarray(store["probability"]))
    nucleus = path / "labels" / "nucleus"
    np.testing.assert_array_equal(level(nucleus / "0"), numbers_of(folder, image.files.stem))
    assert attributes(path / "labels") == {"labels": ["nucleus"]}
    assert attributes(nucleus)["image-label"] == {"version": "0.4", "source": {"image": "../../"}}
    for group in (path, nucleus):
        (multiscale,) = attributes(group)["multiscales"]
        assert multiscale["version"] == "0.4"
        assert multiscale["axes"] == [
            {"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")
        ]
        assert multiscale["datasets"] == [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [MICRONS_PER_PX] * 2}],
            }
        ]


@pytest.fixture
def tall(images, monkeypatch):
    """An image of 2,700 x 1,101 px of noise, and what is read of it at a time."""
    rng = np.random.default_rng(0)
    arrays = {
        "probability": rng.integers(0, 256, (2700, 1101), dtype=np.uint8),
        "nucleus": rng.integers(0, 70_000, (2700, 1101), dtype=np.uint32),
    }
    rows = []

    class Watched:
        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __getitem__(self, where):
            rows.append(len(self.array[where]))
            return self.array[where]

    monkeypatch.setattr(FinishedImage, "map", lambda self, name: Watched(arrays[name]))
    return dataclasses.replace(images[0], height=2700, width=1101, nuclei=70_000), arrays, rows


def test_levels_are_means_or_samples_and_tell_where_they_lie(tall, tmp_path):
    image, arrays, rows = tall
    write_ome_zarr(image, tmp_path / "a.ome.zarr", Options())
    assert max(rows) <= 512
    assert sum(rows) == 2 * 2700
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    datasets = root.attrs["multiscales"][0]["datasets"]
    assert [each["path"] for each in datasets] == ["0", "1", "2"]
    mean, samples = arrays["probability"], arrays["nucleus"]
    for number, each in enumerate(datasets):
        np.testing.assert_array_equal(np.asarray(root[str(number)]), mean)
        np.testing.assert_array_equal(np.asarray(root[f"labels/nucleus/{number}"]), samples)
        scale = MICRONS_PER_PX * 2**number
        # The centre of the first pixel of a level: of the mean of 1, 4 and 16 pixels.
        shift = np.mean(np.arange(2**number)) * MICRONS_PER_PX
        expected = [{"type": "scale", "scale": [scale] * 2}]
        if number:
            expected.append({"type": "translation", "translation": [shift] * 2})
        assert each["coordinateTransformations"] == expected
        padded = np.pad(mean, [(0, size % 2) for size in mean.shape], mode="edge").astype(float)
        blocks = padded.reshape(padded.shape[0] // 2, 2, -1, 2)
        mean = np.floor(blocks.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
        samples = samples[::2, ::2]


def test_means_do_not_overflow():
    assert (mean_of_four(np.full((5, 3), 255, np.uint8)) == 255).all()


def test_a_store_that_fails_leaves_what_was_there(images, tmp_path, monkeypatch):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(images[0], path, Options())
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}

    def fail(self, name):
        raise OSError("gone")

    monkeypatch.setattr(FinishedImage, "map", fail)
    with pytest.raises(OSError, match="gone"):
        write_ome_zarr(images[0], path, Options())
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.ome.zarr"]
