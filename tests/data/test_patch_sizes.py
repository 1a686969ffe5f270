"""A config and a data set must fit together: the sizes of patches and tiles."""

import dataclasses

import pytest

from configs import folder
from nucseg_jax.config import read_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_sizes import check_patches, check_whole_patches


def config_with(tile_px, patch_px):
    config = folder.get_config()
    config.train.tile_px = tile_px
    config.data.patch_px = patch_px
    return read_config(config)


@pytest.mark.parametrize(
    ("patch_px", "tile_px"), [(256, 64), (128, 128), (512, 256), (512, 512), (96, 32), (224, 224), (192, 96)]
)
def test_tiles_that_divide_a_patch_are_trained_on(patch_px, tile_px):
    check_patches(config_with(tile_px, patch_px), DatasetInfo("toy", patch_px=patch_px))


@pytest.mark.parametrize(
    ("patch_px", "tile_px", "expected"),
    [
        (128, 256, "one of 32, 64, 128"),
        (96, 64, "one of 32, 96"),
        (512, 96, "one of 32, 64, 128, 256, 512"),
        (250, 64, "a multiple of 32 px, such as 224 or 256"),
        (16, 32, "a multiple of 32 px, such as 32"),
    ],
)
def test_others_are_refused_with_both_numbers_and_what_fits(patch_px, tile_px, expected):
    with pytest.raises(UserError, match=f"{patch_px} px") as caught:
        check_patches(config_with(tile_px, patch_px), DatasetInfo("toy", patch_px=patch_px))
    assert f"{expected}." in str(caught.value)
    assert ("data.patch_px" if patch_px % 32 else f"train.tile_px is {tile_px}") in str(caught.value)


@pytest.mark.parametrize("tile_px", [-64, 0, 16, 250])
def test_tiles_that_no_model_takes_are_refused_before_any_data(tile_px):
    with pytest.raises(UserError, match=f"train.tile_px is {tile_px}"):
        config_with(tile_px, 256)


def test_whole_patches_are_multiples_of_the_output_stride():
    config = config_with(64, 256)
    assert config.model.output_stride == 16
    check_whole_patches(config, DatasetInfo("toy", patch_px=240))
    with pytest.raises(UserError, match="250 px"):
        check_whole_patches(config, DatasetInfo("toy", patch_px=250))
    finer = dataclasses.replace(config, model=dataclasses.replace(config.model, output_stride=8))
    check_whole_patches(finer, DatasetInfo("toy", patch_px=248))


@pytest.mark.parametrize("stored", [{"patch_px": 512}, {"microns_per_px": 0.5}])
def test_a_data_set_that_was_prepared_with_other_sizes_is_refused(stored):
    (field,) = stored
    with pytest.raises(UserError, match=rf"data\.{field} is .*prepared with {stored[field]}"):
        check_patches(config_with(64, 256), DatasetInfo("toy", **stored))
