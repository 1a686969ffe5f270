"""The values that an encoder of the table needs: names, shapes and places of its values, and whose weights fit it."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from nucseg_jax.core.arrays import Tree, Variables
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.build import ENCODERS, build_encoder
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.models.interfaces import Encoder, Framework
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.models.pyramid import EXTENTS, Extent

FRAMEWORK_TITLES: Mapping[str, str] = {"keras": "Keras", "torch": "PyTorch"}
# Shapes of weights do not depend on it.
_ANY_PX = 64


@dataclasses.dataclass(frozen=True)
class Target:
    """An encoder as the target of a conversion.

    Attributes:
      encoder: its name in the table.
      framework: whose weights fit it.
      preprocessing: what happens to raw RGB; of EfficientNets the default of what a file states.
      shapes: by extent, the shape of every value by its name 'layer/leaf'.
      collections: by that name, the collection of variables that it belongs to.
    """

    encoder: str
    framework: Framework
    preprocessing: Preprocessing
    shapes: Mapping[Extent, Mapping[str, tuple[int, ...]]]
    collections: Mapping[str, str]


@functools.cache
def target_of(encoder: str, *, width: float = 1.0, encoder_depths: tuple[int, ...] = ()) -> Target:
    """The target by its name in the table.

    Args:
      encoder: a key of `ENCODERS`.
      width, encoder_depths: of `build_encoder`; other than the defaults only in tests, since nobody publishes
        weights of such nets.

    Raises:
      UserError: there is no such encoder.
    """
    if encoder not in ENCODERS:
        raise UserError(f"--encoder is {encoder!r}.", expected=f"one of {', '.join(ENCODERS)}")
    shapes: dict[Extent, dict[str, tuple[int, ...]]] = {}
    collections: dict[str, str] = {}
    for extent in EXTENTS:
        depths = encoder_depths
        if depths and extent == "cut":
            depths = depths[: len(build_encoder(encoder, extent="cut").depths)]
        module = build_encoder(encoder, extent=extent, width=width, encoder_depths=depths)
        flat = flat_shapes(module)
        shapes[extent] = {name: shape for name, (_, shape) in flat.items()}
        collections |= {name: collection for name, (collection, _) in flat.items()}
    return Target(
        encoder=encoder,
        framework=ENCODERS[encoder].framework,
        preprocessing=module.preprocessing,
        shapes=shapes,
        collections=collections,
    )


def flat_shapes(encoder: Encoder) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Returns the collection and the shape of every value of an encoder, by its name 'layer/leaf'."""
    leaves = jax.tree_util.tree_leaves_with_path(abstract_variables(encoder, px=_ANY_PX))
    flat = {}
    for path, leaf in leaves:
        collection, _, name = leaf_name(path).partition("/")
        flat[name] = collection, tuple(leaf.shape)
    return flat


def stages_of(layers: Iterable[str], encoder: Encoder) -> list[str]:
    """Names the stages that layers belong to, each once; a layer of no stage stands for itself.

    >>> stages_of(["stages_3_downsample_0", "stages_3_blocks_0_norm"], build_encoder("convnext_tiny", extent="whole"))
    ['stages_3']
    """
    return list(
        dict.fromkeys(
            next((stage for stage in encoder.stages if layer.startswith(stage)), layer) for layer in layers
        )
    )


def as_tree(values: Mapping[str, np.ndarray], collections: Mapping[str, str]) -> Variables:
    """Values by name as a tree of variables: {'params': {'conv1_conv': {'kernel': ...}}, ...}."""
    tree: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for name, value in values.items():
        layer, leaf = name.split("/")
        tree.setdefault(collections[name], {}).setdefault(layer, {})[leaf] = value
    return dict(tree)


def flatten(tree: Tree) -> dict[str, np.ndarray]:
    """The inverse of `as_tree`: values by name, without their collections."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {leaf_name(path).partition("/")[2]: np.asarray(value) for path, value in leaves}
