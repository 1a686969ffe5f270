"""`weights.npz`: the variables of a model by name, as float32, or as float16 where that changes no prediction much.

An array stays float32 in a float16 file where half precision has no place for it:

- a value beyond 65504, float16's largest;
- a variance below 2^-14, float16's smallest normal number, under which precision ends;
- any array that rounding changes by more than 2^-10 of its norm, such as layer scales of 1e-6;
- constants of the preprocessing, which are a handful.
"""

import pathlib
from collections.abc import Mapping
from typing import IO, Any

import jax
import numpy as np

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.model_folder.facts import StoredDtype
from nucseg_jax.models.layers import CONSTANTS
from nucseg_jax.pretrained.npz import open_npz

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)
# Rounding to nearest changes a normal number by 2^-11 of it at most.
_LARGEST_CHANGE = 2.0**-10
_VARIANCES = ("var", "variance")


def named_arrays(variables: Variables) -> dict[str, np.ndarray]:
    """Returns the arrays of a tree by name, 'params/encoder/conv1_conv/kernel', on the host."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(variables))
    return {leaf_name(path): np.asarray(leaf) for path, leaf in leaves}


def stored_arrays(variables: Variables, dtype: StoredDtype) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Returns arrays by name as they are stored, and the names that stay float32 in a float16 file.

    Raises:
      UserError: a value is NaN or infinite.
    """
    arrays = named_arrays(variables)
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise UserError(
            f"the weights of the run hold NaN or infinity, first in {broken[0]}", expected="finite numbers"
        )
    if dtype == "float32":
        return arrays, ()
    kept = tuple(name for name, array in arrays.items() if not fits_float16(name, array))
    return {name: array if name in kept else array.astype(np.float16) for name, array in arrays.items()}, kept


def fits_float16(name: str, array: np.ndarray) -> bool:
    """Returns whether an array of this name, float32, may be stored as float16; see the top of this file.

    >>> fits_float16("batch_stats/bn/var", np.array([1e-5], np.float32))
    False
    >>> fits_float16("params/conv/kernel", np.array([1e-5, .5], np.float32))
    True
    """
    sizes = np.abs(array.astype(np.float64))
    if name.startswith(f"{CONSTANTS}/") or (sizes > _LARGEST).any():
        return False
    if name.rpartition("/")[2] in _VARIANCES and (sizes < _SMALLEST_NORMAL).any():
        return False
    change = np.linalg.norm(array.astype(np.float16).astype(np.float64) - array)
    return bool(change <= _LARGEST_CHANGE * np.linalg.norm(sizes))


def write_weights(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as a .npz without pickles, atomically; equal arrays give equal bytes."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]


def read_weights(source: pathlib.Path | IO[bytes], like: Variables) -> Variables:
    """Reads the variables of a model as float32 arrays on the host.

    Args:
      source: a file of `write_weights`, or one that is open.
      like: shapes of the model's variables.

    Raises:
      ValueError: names, shapes or dtypes are not the model's.
      OSError, zipfile.BadZipFile, UserError: it is no such file.
    """
    with open_npz(source) as file:
        expected = {
            leaf_name(place): tuple(leaf.shape) for place, leaf in jax.tree_util.tree_leaves_with_path(like)
        }
        found = {name: array.shape for name, array in file.arrays.items()}
        if found != expected:
            names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            raise ValueError(
                f"its arrays are not those of the model that it describes, first {names[0]}:"
                f" {found.get(names[0], 'missing')}, expected {expected.get(names[0], 'none')}"
            )

        def read(place: Any, leaf: Any) -> np.ndarray:
            del leaf
            array = file.arrays[leaf_name(place)]
            if array.dtype not in ("float16", "float32"):
                raise ValueError(f"{array.name} is of dtype {array.dtype}")
            return array.read().astype(np.float32)

        variables: Variables = jax.tree_util.tree_map_with_path(read, like)
        return variables
