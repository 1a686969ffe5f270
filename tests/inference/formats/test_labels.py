import dataclasses

import numpy as np
import pytest
import tifffile
import zarr

from nucseg_jax.core.errors import UserError
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.labels import write_labels
from nucseg_jax.inference.formats.options import Options
from tests.inference.formats.predicted_folder import MICRONS_PER_PX, numbers_of


def test_pixels_are_the_numbers_of_nuclei_and_the_scale_is_the_images(images, folder, tmp_path):
    for image in images:
        path = tmp_path / f"{image.files.stem}.ome.tif"
        write_labels(image, path, Options())
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            np.testing.assert_array_equal(page.asarray(), numbers_of(folder, image.files.stem))
            assert page.dtype == np.uint16
            assert page.is_tiled
            assert page.compression.name == "ADOBE_DEFLATE"
            about = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            assert page.get_resolution(unit="CENTIMETER")[0] == pytest.approx(1e4 / MICRONS_PER_PX)
        assert (about["SizeY"], about["SizeX"], about["Type"]) == (image.height, image.width, "uint16")
        assert about["PhysicalSizeX"] == about["PhysicalSizeY"] == MICRONS_PER_PX
        assert about["PhysicalSizeXUnit"] == "µm"


def of_numbers(numbers, count, monkeypatch, images):
    array = zarr.create_array(store={}, data=numbers, chunks=(256, 256))
    monkeypatch.setattr(FinishedImage, "map", lambda self, name: array)
    height, width = numbers.shape
    return dataclasses.replace(images[0], height=height, width=width, nuclei=count)


@pytest.mark.parametrize(("count", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_numbers_of_large_images_are_whole_in_every_level(count, dtype, images, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, count, (2050, 1100), endpoint=True, dtype=np.uint32)
    numbers[-1, -1] = count
    write_labels(of_numbers(numbers, count, monkeypatch, images), tmp_path / "a.tif", Options())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert len(levels) == 3
    for number, level in enumerate(levels):
        assert level.dtype == dtype
        np.testing.assert_array_equal(level, numbers[:: 2**number, :: 2**number])


def test_a_band_is_read_at_a_time(images, monkeypatch, tmp_path):
    """Whatever the level, an answer has no more rows than a tile."""
    answers = []

    class Watched:
        shape = (3000, 700)

        def __getitem__(self, where):
            found = np.zeros(self.shape, np.uint32)[where]
            answers.append(found.shape)
            return found

    monkeypatch.setattr(FinishedImage, "map", lambda self, name: Watched())
    image = dataclasses.replace(images[0], height=3000, width=700, nuclei=0)
    write_labels(image, tmp_path / "a.tif", Options())
    assert max(rows for rows, _ in answers) == 512
    assert sum(rows for rows, columns in answers if columns == 700) == 3000


def test_a_number_beyond_the_last_nucleus_is_refused(images, monkeypatch, tmp_path):
    """In uint16 it would be another nucleus's, or background."""
    numbers = np.full((20, 30), 65_537, np.uint32)
    with pytest.raises(UserError, match="a nucleus that its table has not"):
        write_labels(of_numbers(numbers, 3, monkeypatch, images), tmp_path / "a.tif", Options())
    assert not list(tmp_path.iterdir())
