"""Names of a parameter tree's leaves: 'decoder/bridge_1/conv/kernel'."""

from collections.abc import Callable

import jax

from nucseg_jax.core.arrays import Tree


def leaf_name(path: tuple[object, ...]) -> str:
    """Returns a key path of `jax.tree_util` as a name with slashes."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def mask_by_name(tree: Tree, chosen: Callable[[str], bool]) -> Tree:
    """Returns a tree of the same structure with `chosen(name)` at every leaf."""
    mask: Tree = jax.tree_util.tree_map_with_path(lambda path, _: chosen(leaf_name(path)), tree)
    return mask
