"""Cell nuclei segmentation in H&E histology with JAX and Flax.

from nucseg_jax import load_run

nuclei = load_run("runs/first").predict(image)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nucseg_jax.run import Run, load_run

__all__ = ["Run", "__version__", "load_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports JAX and the models with the first use of a name, not with the package."""
    if name not in ("Run", "load_run"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nucseg_jax import run

    return getattr(run, name)
