"""Keras's HDF5 files: `.h5` of weights or whole models, with layer names, and `.weights.h5`, with counters.

Layout with names (Keras 1 to 3, "legacy"): attribute `layer_names`, a group a layer with the attribute
`weight_names`, in the group `model_weights` if the file holds a whole model. Layout with counters (Keras 3, and
2.13 on): groups `layers/CLASS_N/vars/I`, where N counts the layers of a class in the model's order and I the
layer's variables; newer files say the layer's name in the attribute `name` of `vars`.

A file may not point outside itself: external links, external storage and virtual data sets are refused.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping

import h5py
import ml_dtypes
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.keras_names import class_of_group, variable_name
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile

# The largest file of `tables.ENCODERS`'s networks has under 3,000; groups can be linked into a ring.
_MOST_ARRAYS = 100_000
_DEEPEST = 32


@contextlib.contextmanager
def open_hdf5(source: pathlib.Path) -> Iterator[WeightsFile]:
    """Opens an HDF5 file of Keras, either layout; raises what h5py raises, and `UserError` for other content."""
    with h5py.File(source, "r") as file:
        if "layers" in file:
            arrays = read_by_counter(file)
            yield WeightsFile("Keras weights (.weights.h5)", arrays, also=_also(file))
            return
        is_whole = "model_weights" in file
        root = _member(file, "model_weights") if is_whole else file
        if not _has_strings(root, "layer_names"):
            raise UserError(
                f"{source} is an HDF5 file, but not one that Keras wrote: it has neither `layer_names` nor"
                f" `layers`; it has {', '.join(list(file)[:6]) or 'nothing'}.",
                expected="the weights of a Keras model, or a whole Keras model",
                advice="save it with model.save('NAME.keras') or model.save_weights('NAME.weights.h5')",
            )
        config = file.attrs.get("model_config")
        yield WeightsFile(
            f"Keras HDF5, {'whole model' if is_whole else 'weights only'}",
            _read_by_name(root),
            config=None if config is None else json.loads(config),
            also=_also(file) if is_whole else (),
        )


def read_by_counter(file: h5py.File, layer_names: Mapping[str, str] | None = None) -> dict[str, StoredArray]:
    """The arrays of the layout with counters.

    Args:
      file: as Keras writes `.weights.h5`.
      layer_names: layer by group ('conv2d_3'), where they are known from elsewhere; else the file's own names
        are taken, if it has some.
    """
    arrays: dict[str, StoredArray] = {}
    for path, dataset in _datasets(_member(file, "layers")):
        name = f"layers/{path}"
        key = name
        group, _, rest = path.partition("/")
        variables, _, index = rest.partition("/")
        # Deeper ones belong to a model inside the model: they keep their whole name.
        if variables == "vars" and index.isdigit():
            own = layer_names.get(group) if layer_names is not None else dataset.parent.attrs.get("name")
            variable = variable_name(class_of_group(group)[0], int(index))
            if own and variable:
                key = f"{own}/{variable}"
        _add(arrays, key, _stored(name, dataset))
    return arrays


def _read_by_name(root: h5py.Group) -> dict[str, StoredArray]:
    arrays: dict[str, StoredArray] = {}
    layers = _strings(root, "layer_names")
    for layer in layers:
        group = _member(root, layer)
        weights = _strings(group, "weight_names")
        ends = [weight.split("/")[-1].removesuffix(":0") for weight in weights]
        is_one_layer = len(set(ends)) == len(ends)
        for weight, end in zip(weights, ends, strict=True):
            # A group with several kernels is a model inside the model.
            key = f"{layer}/{end if is_one_layer else weight.removesuffix(':0')}"
            _add(arrays, key, _stored(f"{layer}/{weight}", _member(group, weight)))
    return arrays


def _add(arrays: dict[str, StoredArray], key: str, array: StoredArray) -> None:
    if key in arrays:
        raise UserError(
            f"the name {key} stands for two arrays, {arrays[key].name} and {array.name}.",
            expected="one array a name",
            advice="save the file again with Keras",
        )
    arrays[key] = array


def _stored(name: str, dataset: object) -> StoredArray:
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{name} is a group.", expected="an array", advice="save the file again with Keras")
    if dataset.external or dataset.is_virtual:
        raise _points_outside(name)
    # Keras writes bfloat16 as two bytes of no type, and records that beside it.
    is_bfloat16 = dataset.dtype.kind == "V" and dataset.attrs.get("dtype") == "bfloat16"
    if is_bfloat16:
        return StoredArray(name, dataset.shape, "bfloat16", lambda: dataset[()].view(ml_dtypes.bfloat16))
    return StoredArray(name, dataset.shape or (), str(dataset.dtype), lambda: np.asarray(dataset[()]))


def _member(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """`group[path]`, but never through a link that leaves the file."""
    found: h5py.Group | h5py.Dataset = group
    for part in filter(None, path.split("/")):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise KeyError(f"{path} is missing in {group.name}")
        if not isinstance(link, h5py.HardLink):
            raise _points_outside(f"{group.name}/{path}".replace("//", "/"))
        found = found[part]
    return found


def _datasets(group: h5py.Group, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, h5py.Dataset]]:
    if depth > _DEEPEST:
        raise ValueError(f"groups lie more than {_DEEPEST} deep")
    for number, name in enumerate(group):
        if number > _MOST_ARRAYS:
            raise ValueError(f"more than {_MOST_ARRAYS:,} entries")
        member = _member(group, name)
        if isinstance(member, h5py.Group):
            yield from _datasets(member, f"{prefix}{name}/", depth + 1)
        else:
            yield f"{prefix}{name}", member


def _points_outside(name: str) -> UserError:
    return UserError(
        f"{name} is a link, or its values lie in another file.",
        expected="a file that holds all its values itself",
        advice="save the file again with Keras",
    )


def _has_strings(group: h5py.Group, name: str) -> bool:
    return name in group.attrs or f"{name}0" in group.attrs


def _strings(group: h5py.Group, name: str) -> list[str]:
    """A list of names in an attribute, or in several, where it would exceed HDF5's limit for one."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        if not parts:
            raise KeyError(f"the attribute {name} of {group.name} is missing")
    values = [value for part in parts for value in np.atleast_1d(part)]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _also(file: h5py.File) -> tuple[str, ...]:
    """Groups that a file of a compiled model holds beyond its layers."""
    return tuple(name for name in ("optimizer_weights", "optimizer") if name in file)
