"""The seams between encoder, decoder and everything that uses them: what a new one has to bring.

Both are linen modules. `build.ENCODERS` and `build.DECODERS` list them, `tests/models/test_conformance.py` tests
whatever is listed.
"""

from collections.abc import Hashable, Sequence
from typing import Literal, Protocol, Self

import jax
from jax.typing import DTypeLike

from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.models.pyramid import Extent, Pyramid

# Whose layers an encoder has, and so whose weights fit it.
Framework = Literal["keras", "torch"]


class HasVariables(Hashable, Protocol):
    """A linen module of images: `Encoder`, `Segmenter`; equal modules have equal variables."""

    def init(self, key: jax.Array, image: jax.Array, /, *, train: bool) -> object:
        """Returns new variables."""
        ...


class EncoderVariant(Protocol):
    """The sizes of one network of a family, as data."""

    @property
    def stem(self) -> tuple[int, int]:
        """Kernel size and channels of the first convolution; tells the files of two networks apart."""
        ...

    def with_depths(self, depths: Sequence[int]) -> Self:
        """Returns the same variant with other depths of its first stages."""
        ...


class Encoder(HasVariables, Protocol):
    """An image classifier without its classifier: `encoder(image, *, train) -> Pyramid`.

    Attributes:
      extent: 'cut' at stride 16, where the paper cuts its encoders, or 'whole'.
      output_stride: of the last features; strides that would exceed it become dilations.
      width: factor on all channels, 1 = the published network.
      moving: how the moving statistics of batch norms follow the batches; no effect without batch norms.
      frozen_statistics: stages (see `stages`) whose batch norms use and keep their moving statistics in training.
      dtype: dtype of computation.
    """

    extent: Extent
    output_stride: int
    width: float
    moving: MovingStatistics
    frozen_statistics: tuple[str, ...]
    dtype: DTypeLike | None

    @property
    def variant(self) -> EncoderVariant:
        """Sizes of the network."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """First parts of the layers' names, from the image on; training can freeze the first of them."""
        ...

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage that is built whole."""
        ...

    @property
    def end(self) -> str:
        """Name of the last features in the framework that the network comes from."""
        ...

    @property
    def taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that are not None."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of raw RGB that the weights were trained with."""
        ...

    def without_dropout(self) -> Self:
        """Returns the same encoder with nothing dropped in training mode."""
        ...

    def clone(
        self,
        *,
        variant: EncoderVariant = ...,
        extent: Extent = ...,
        frozen_statistics: tuple[str, ...] = ...,
        dtype: DTypeLike | None = ...,
    ) -> Self:
        """Returns the same encoder with other attributes (linen's)."""
        ...

    def __call__(self, image: jax.Array, *, train: bool) -> Pyramid:
        """Computes the taps of raw RGB [N, H, W, 3], 0..255."""
        ...


class Decoder(Protocol):
    """Features at a fraction of the image's resolution: `decoder(pyramid, *, train) -> [N, H/k, W/k, D]`.

    Attributes:
      dropout: rate, 0..1.
      width: factor on all channels.
      moving: how the moving statistics of batch norms follow the batches.
      dtype: dtype of computation.
    """

    dropout: float
    width: float
    moving: MovingStatistics
    dtype: DTypeLike | None

    @property
    def variant(self) -> object:
        """Sizes of the decoder."""
        ...

    @property
    def required_taps(self) -> tuple[str, ...]:
        """Fields of `Pyramid` that must not be None; an encoder without them is refused before anything is traced."""
        ...

    def without_dropout(self) -> Self:
        """Returns the same decoder with rate 0."""
        ...

    def clone(self, *, dropout: float = ..., dtype: DTypeLike | None = ...) -> Self:
        """Returns the same decoder with other attributes (linen's)."""
        ...

    def __call__(self, pyramid: Pyramid, *, train: bool) -> jax.Array:
        """Computes the features that the head turns into logits."""
        ...
