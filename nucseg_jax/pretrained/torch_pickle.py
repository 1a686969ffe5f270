"""PyTorch's `.pth`: a pickle. Only tensors and plain containers are taken from it, by PyTorch's own loader.

PyTorch is no dependency of this project; it is looked for when such a file comes.
"""

import contextlib
import importlib.util
import pathlib
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Protocol, Self

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile

# Where training scripts put the weights beside other things.
_NESTS = ("state_dict", "model")
# What torch.nn.DataParallel puts before every name.
_PARALLEL = "module."
_STATE_DICT = "a state dict: tensors by name, alone or under 'state_dict' or 'model'"
_SAVE_STATE_DICT = "save it with torch.save(model.state_dict(), 'NAME.pth')"


class Tensor(Protocol):
    """The part of `torch.Tensor` that is used."""

    shape: tuple[int, ...]
    dtype: object

    def detach(self) -> Self:
        """Returns it without its gradient."""
        ...

    def float(self) -> Self:
        """Returns it as float32."""
        ...

    def numpy(self) -> np.ndarray:
        """Returns it as an array."""
        ...


def require_torch(source: object) -> None:
    """Says how to do without PyTorch if it is not installed.

    Args:
      source: the file, for the message.

    Raises:
      UserError: PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            f"{source} is a PyTorch pickle, and PyTorch, which alone reads such files safely, is not installed.",
            expected="a file that is read without PyTorch, or PyTorch",
            advice="pip install torch (the CPU build does), or take a .safetensors file of the same network, such"
            " as model.safetensors of timm/resnet50.tv_in1k",
        )


@contextlib.contextmanager
def open_torch_pickle(source: pathlib.Path) -> Iterator[WeightsFile]:
    """Opens a `.pth`; raises what torch raises, and `UserError` for a pickle that needs code or has no weights."""
    require_torch(source)
    import torch

    if _is_program(source):
        raise UserError(
            f"{source} is a TorchScript archive: a program, not weights alone. It was not loaded.",
            expected=_STATE_DICT,
            advice=_SAVE_STATE_DICT,
        )
    try:
        try:
            loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            # Files of before PyTorch 1.6 are no zips and cannot be mapped.
            loaded = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The rest of the message advises to load the file after all.
        reason = re.search(r"Unsupported \w+: \w+ [\w.]+|Unsupported \w+ \w+", str(error))
        raise UserError(
            f"{source} is damaged, or a pickle that needs code to be loaded; it was not loaded"
            f"{f' ({reason[0]})' if reason else ''}.",
            expected=_STATE_DICT,
            advice=_SAVE_STATE_DICT + ", if you trust its origin",
        ) from error
    yield WeightsFile(
        "PyTorch state dict (.pth)",
        {name: _stored(name, value) for name, value in _state(source, loaded).items()},
    )


def _is_program(source: pathlib.Path) -> bool:
    if not zipfile.is_zipfile(source):
        return False
    with zipfile.ZipFile(source) as archive:
        return any("/code/" in name for name in archive.namelist())


def _state(source: pathlib.Path, loaded: object) -> dict[str, Tensor]:
    """The tensors by name, out of their nest and without the prefix of DataParallel."""
    for nest in _NESTS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(nest), Mapping):
            loaded = loaded[nest]
            break
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(name, str) and hasattr(value, "numpy") for name, value in loaded.items())
    ):
        raise UserError(
            f"{source} holds no state dict, but {_in_words(loaded)}.",
            expected=_STATE_DICT,
            advice=_SAVE_STATE_DICT,
        )
    if all(name.startswith(_PARALLEL) for name in loaded):
        return {name.removeprefix(_PARALLEL): value for name, value in loaded.items()}
    return dict(loaded)


def _in_words(loaded: object) -> str:
    if isinstance(loaded, Mapping):
        return f"a dict with {', '.join(map(repr, list(loaded)[:6])) or 'nothing in it'}"
    return f"a {type(loaded).__name__}"


def _stored(name: str, tensor: Tensor) -> StoredArray:
    import torch

    def read() -> np.ndarray:
        plain = tensor.detach()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()

    return StoredArray(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), read)
