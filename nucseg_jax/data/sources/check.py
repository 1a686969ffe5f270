"""Checks that a config's source has its folder, and that nothing is asked of patches that come as they are."""

from nucseg_jax.config.data import DataConfig, SourceName
from nucseg_jax.core.errors import UserError

# Patches of these come as they are, 256 px at 0.25 microns; images of the others are resampled and cut.
PANNUKE_SOURCES: tuple[SourceName, ...] = ("download", "release", "synthetic")
_PANNUKE_PX, _PANNUKE_MICRONS = 256, 0.25
# What `data.release_dir` must hold.
_FOLDERS: dict[SourceName, str] = {
    "release": "the folder that holds the PanNuke release, zipped or unpacked",
    "folder": "the folder that holds images/ and labels/",
    "consep": "the folder that holds CoNSeP's Train/ and Test/",
    "monuseg": "the folder that holds MoNuSeg's 'Tissue Images' and 'Annotations'",
}


def check_source(config: DataConfig) -> None:
    """Checks the fields of `data` that depend on each other.

    Raises:
      UserError: the source reads a folder and none is given; its patches cannot be cut otherwise; or a path begins with
        `~` and this user has no home folder.
    """
    if config.source in _FOLDERS and config.release_folder is None:
        raise UserError(
            f"data.source is {config.source}, but data.release_dir is empty.",
            expected=_FOLDERS[config.source],
            advice="add --config.data.release_dir=FOLDER, or choose --config.data.source=synthetic",
        )
    if config.source in PANNUKE_SOURCES:
        _require_pannuke_patches(config)
    # Looks up the home folder.
    _ = config.release_folder, config.prepared_folder


def _require_pannuke_patches(config: DataConfig) -> None:
    """Refuses values that PanNuke's patches, which nobody cuts, could only ignore."""
    for field, value, own in (
        ("patch_px", config.patch_px, _PANNUKE_PX),
        ("microns_per_px", config.microns_per_px, _PANNUKE_MICRONS),
        ("image_microns_per_px", config.image_microns_per_px, 0.0),
        ("remainder", config.remainder, "reflect"),
    ):
        if value != own:
            raise UserError(
                f"data.{field} is {value!r}, and the patches of data.source={config.source} come as they are",
                expected=f"{own!r}: PanNuke's patches have {_PANNUKE_PX} px at {_PANNUKE_MICRONS} microns",
                advice=f"leave out --config.data.{field}; tiles of training may be smaller: train.tile_px",
            )
