"""The lowering of each operation by platform: one row a platform, and nothing else decides.

Every lowering computes the same function; the rows say which was fastest when measured (docs/speed.md).
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Literal

import jax

_traced_for: contextvars.ContextVar[str | None] = contextvars.ContextVar("traced_for", default=None)


@dataclasses.dataclass(frozen=True)
class Lowerings:
    """A platform's choices; 'reference' is XLA's own operation everywhere.

    Attributes:
      pointwise: 1x1 convolution; 'product' is one matrix product.
      winograd_from: 3x3 convolutions in float32 or wider take Winograd's form if H * W * C * D of an image reaches
        this; None = never.
      kernel_gradient_px: kernel gradients are summed over groups of images of at most this many pixels, a single
        image being the smallest group; None = over all together.
      atrous: 'taps' is a matrix product a tap on the pixels that are not padding.
      transpose_kernel_gradient: of transposed convolutions; 'product' is one matrix product, 'convolution' the gradient
        of the convolution that is transposed.
      depthwise: 'shifted' is a sum of shifted images.
      max_pool: 'slices' is the maximum of strided slices.
    """

    pointwise: Literal["product", "reference"]
    winograd_from: int | None
    kernel_gradient_px: int | None
    atrous: Literal["taps", "reference"]
    transpose_kernel_gradient: Literal["product", "convolution", "reference"]
    depthwise: Literal["shifted", "reference"]
    max_pool: Literal["slices", "reference"]


# Not measured on an accelerator: what the vendor's library has is left to it, in a form that it has.
ACCELERATOR = Lowerings(
    pointwise="product",
    winograd_from=None,
    kernel_gradient_px=None,
    # XLA's own kernel gradient is no backward filter to cuDNN, and at rate 18 of 16 px one tap of nine meets pixels.
    atrous="taps",
    # XLA's own is no backward filter to cuDNN: see `convolve_transpose_by_convolution`.
    transpose_kernel_gradient="convolution",
    depthwise="reference",
    max_pool="slices",
)
LOWERINGS = {
    "cpu": Lowerings(
        pointwise="product",
        # Of a 256 px image this leaves out the encoders, which gain nothing, and takes the decoders' wide maps.
        winograd_from=50_000_000,
        kernel_gradient_px=2 * 128 * 128,
        atrous="taps",
        transpose_kernel_gradient="product",
        depthwise="shifted",
        max_pool="slices",
    ),
}

# `jax.default_backend()` has another name than `jax.export` and JAX_PLATFORMS for the same platform.
_PLATFORM_OF_BACKEND = {"gpu": "cuda"}


def lowerings() -> Lowerings:
    """The row of the platform that is traced for: the default backend's, unless inside `traced_for`."""
    platform = _traced_for.get() or jax.default_backend()
    return LOWERINGS.get(_PLATFORM_OF_BACKEND.get(platform, platform), ACCELERATOR)


@contextlib.contextmanager
def traced_for(platform: str) -> Iterator[None]:
    """Traces the block for 'cpu', 'cuda' or 'tpu', such as a program for `jax.export`.

    JAX keeps traces of a function object: jit a new one for each platform.
    """
    token = _traced_for.set(platform)
    try:
        yield
    finally:
        _traced_for.reset(token)
