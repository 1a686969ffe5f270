import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from nucseg_jax.inference.output.mask_file import write_png_mask, write_tiff_mask


def test_levels_of_the_pyramid_keep_every_nucleus_and_tell_their_own_scale(tmp_path):
    rng = np.random.default_rng(0)
    numbers = np.where(rng.random((2050, 37)) < 0.02, rng.integers(1, 2**32, (2050, 37)), 0)
    group = zarr.create_group(tmp_path / "maps")
    nuclei = group.create_array("nucleus", shape=numbers.shape, chunks=(256, 37), dtype=np.uint32)
    nuclei[:] = numbers.astype(np.uint32)
    write_tiff_mask(tmp_path / "a.ome.tif", nuclei, 0.25, group)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        levels = file.series[0].levels
        found = [level.asarray() for level in levels]
        per_cm = [page.get_resolution(unit="CENTIMETER")[0] for page in (level.pages[0] for level in levels)]
    expected = [np.where(numbers > 0, 255, 0).astype(np.uint8)]
    for _ in range(2):
        last = np.pad(expected[-1], [(0, size % 2) for size in expected[-1].shape])
        expected.append(last.reshape(last.shape[0] // 2, 2, -1, 2).max(axis=(1, 3)))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert per_cm == pytest.approx([1e4 / 0.25, 1e4 / 0.5, 1e4 / 1.0], rel=1e-6)
    assert list(group) == ["nucleus"]


@pytest.mark.parametrize("microns_per_px", [0.25, 0.5])
def test_a_png_holds_every_nucleus_and_its_scale(microns_per_px, tmp_path):
    numbers = np.zeros((600, 40), np.uint32)
    numbers[[0, 511, 512, 599]] = [[1], [2], [256], [2**32 - 1]]
    nuclei = zarr.create_group(tmp_path / "maps").create_array("nucleus", data=numbers)
    write_png_mask(tmp_path / "a.png", nuclei, microns_per_px)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.where(numbers > 0, 255, 0))
        # A PNG holds whole pixels a metre.
        assert picture.info["dpi"] == pytest.approx((25_400 / microns_per_px,) * 2, rel=1e-4)
