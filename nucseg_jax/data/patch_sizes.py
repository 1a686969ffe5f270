"""Sizes of a data set's patches against those that a config asks for."""

from nucseg_jax.config import Config
from nucseg_jax.config.train import TILE_UNIT_PX
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo


def check_patches(config: Config, info: DatasetInfo) -> None:
    """Checks that a data set's patches are those of a config, and can be cut into the tiles that it trains on.

    Raises:
      UserError: they are not; or they cannot, and it lists the sizes that fit.
    """
    if info.patch_px % TILE_UNIT_PX:
        below = info.patch_px // TILE_UNIT_PX * TILE_UNIT_PX
        raise UserError(
            f"the patches of the data set {info.name!r} are {info.patch_px} px, which no train.tile_px divides",
            expected=f"patches of a multiple of {TILE_UNIT_PX} px, such as"
            f" {' or '.join(str(px) for px in (below, below + TILE_UNIT_PX) if px)}",
            advice="prepare the data set again with another --config.data.patch_px, into another --config.data.dir",
        )
    for field, value, stored in (
        ("patch_px", config.data.patch_px, info.patch_px),
        ("microns_per_px", config.data.microns_per_px, info.microns_per_px),
    ):
        if value != stored:
            raise UserError(
                f"data.{field} is {value}, and the data set {info.name!r} was prepared with {stored}",
                expected="the data set that the config describes",
                advice=f"set --config.data.{field}={stored}, or prepare again into another --config.data.dir",
            )
    patch_px, tile_px = info.patch_px, config.train.tile_px
    if patch_px % tile_px == 0:
        return
    fitting = [px for px in range(TILE_UNIT_PX, patch_px + 1, TILE_UNIT_PX) if patch_px % px == 0]
    raise UserError(
        f"train.tile_px is {tile_px}, and the patches of the data set {info.name!r} are {patch_px} px",
        expected="one of " + ", ".join(map(str, fitting)),
        advice=f"set --config.train.tile_px={fitting[-1]}",
    )


def check_whole_patches(config: Config, info: DatasetInfo) -> None:
    """Checks that a config's model can be given a data set's patches as they are.

    Raises:
      UserError: it cannot.
    """
    stride = config.model.output_stride
    if info.patch_px % stride:
        raise UserError(
            f"the patches of the data set {info.name!r} are {info.patch_px} px",
            expected=f"patches of a multiple of {stride} px, the model's output stride",
            advice="prepare the data set again with another --config.data.patch_px, into another --config.data.dir",
        )
