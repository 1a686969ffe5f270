"""`launch.py prepare`: any source to a data set on disk."""

from nucseg_jax.cli.next_command import Invocation, train_command
from nucseg_jax.cli.prepare_images import prepare_images
from nucseg_jax.cli.prepare_pannuke import prepare_pannuke
from nucseg_jax.config.data import DataConfig
from nucseg_jax.config.train import TILE_UNIT_PX
from nucseg_jax.core.counted import counted
from nucseg_jax.core.extras import require_extra
from nucseg_jax.data.sources.check import check_source
from nucseg_jax.data.sources.table import SOURCES


def prepare(source: DataConfig, invocation: Invocation | None = None) -> None:
    """Prepares the data set of a source, or reports that it exists.

    The data set is written atomically. What it holds is printed and kept in
    `audit.json`, and the last line is the next command.

    Args:
      source: section `data` of a config; the ranges of its fields are not checked here.
      invocation: of the command line; None where this is called from Python.

    Raises:
      UserError: the source is at fault, the disk is full, or its place holds another data set.
    """
    check_source(source)
    open_source = SOURCES[source.source]
    if open_source is not None:
        require_extra("images", f"data.source={source.source}")
    prepared = prepare_pannuke(source) if open_source is None else prepare_images(source, open_source)
    print(f"Data set: {prepared.folder}\nContent:  SHA-256 {prepared.digest}")
    if prepared.contact_sheet is not None:
        print(f"Look at:  {prepared.contact_sheet}")
    if invocation is not None and invocation.num_classes == 1 and prepared.info.classes:
        classes = counted(len(prepared.info.classes), "class")
        print(
            "Classes:  this config separates nucleus and background only; for the"
            f" {classes} add --config.model.num_classes={len(prepared.info.classes) + 1}"
        )
    if source.patch_px % TILE_UNIT_PX:
        print(
            f"Training: no train.tile_px divides patches of {source.patch_px} px; to train on them prepare again with a"
            f" data.patch_px that {TILE_UNIT_PX} divides"
        )
        return
    print(f"Next:     {train_command(invocation, prepared.info)}")
