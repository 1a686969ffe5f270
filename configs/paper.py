"""The paper's four models, in the order of its Table 1: the names of their configs, which lie beside this file."""

import pathlib
import runpy

import ml_collections

NAMES = ("unet_resnet50", "unet_efficientnet_b4", "deeplabv3plus_resnet50", "deeplabv3plus_efficientnet_b4")


def get_configs() -> tuple[ml_collections.ConfigDict, ...]:
    """Returns one config for each row of Table 1."""
    folder = pathlib.Path(__file__).parent
    return tuple(runpy.run_path(str(folder / f"{name}.py"))["get_config"]() for name in NAMES)
