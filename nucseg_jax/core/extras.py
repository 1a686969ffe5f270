"""Packages that only some verbs need, by the extra that installs them, and the error where one is missing."""

import importlib.util
from collections.abc import Mapping

from nucseg_jax.core.errors import UserError

# Modules by extra; pyproject.toml lists the packages that hold them.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "images": ("imagecodecs", "pyarrow", "tifffile", "zarr"),
    "slides": ("imagecodecs", "pyarrow", "tifffile", "zarr", "openslide"),
    "formats": ("h5py", "imagecodecs", "pyarrow", "tifffile", "zarr"),
    "report": ("jinja2",),
    "convert": ("h5py", "safetensors"),
    "sweeps": ("submitit",),
    "torch": ("torch",),
    "onnx": ("torch", "onnx", "onnxruntime"),
    "hub": ("huggingface_hub",),
}


def require_extra(extra: str, purpose: str) -> None:
    """Checks that the modules of an extra can be imported, and imports none.

    Args:
      extra: a key of `EXTRAS`.
      purpose: what needs them, such as 'predict'.

    Raises:
      UserError: names what is missing and the command that installs it.
    """
    missing = [name for name in EXTRAS[extra] if not _is_installed(name)]
    if missing:
        raise UserError(
            f"{purpose} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            expected=f"the packages of the extra {extra!r}",
            advice=f"pip install 'nucseg_jax[{extra}]'",
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
