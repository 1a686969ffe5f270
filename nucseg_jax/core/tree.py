"""Names of a parameter tree's leaves: 'decoder/bridge_1/conv/kernel'."""

from collections.abc import Callable
from typing import Any

import jax


def leaf_name(path: tuple[Any, ...]) -> str:
    """Returns a key path of `jax.tree_util` as a name with slashes."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def mask_by_name(tree: Any, chosen: Callable[[str], bool]) -> Any:
    """Returns a tree of the same structure with `chosen(name)` at every leaf."""
    return jax.tree_util.tree_map_with_path(lambda path, _: chosen(leaf_name(path)), tree)
