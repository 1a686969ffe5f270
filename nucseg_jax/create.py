"""Models by name: a linen module and its variables in one call.

    model, variables = create_model("unet", encoder="resnet50")
    logits = model.apply(variables, image, train=False)    # uint8 [N, H, W, 3] -> float32 [N, H, W, 1]

`DECODERS` and `ENCODERS` of `models/build.py` list the names.
"""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nucseg_jax.config.model import HeadName, ModelConfig
from nucseg_jax.config.train import TrainConfig
from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.config_field import declared_fields, read_section
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.paths import user_path
from nucseg_jax.models.build import DECODERS, build_encoder, build_segmenter
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.models.interfaces import Encoder
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.models.pyramid import Extent
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.pretrained.load import load_encoder

# Output strides of an encoder that stands alone; the first is the usual one.
OUTPUT_STRIDES: Mapping[Extent, tuple[int, ...]] = {"whole": (32, 16, 8), "cut": (16,)}


def create_model(
    decoder: str,
    *,
    encoder: str = "resnet50",
    num_classes: int = 1,
    head: HeadName = "none",
    weights: str | pathlib.Path | None = None,
    seed: int = 0,
    dropout: float = 0.7,
    output_stride: int | None = None,
    drop_connect: float = 0.2,
    width: float = 1.0,
    encoder_depths: Sequence[int] = (),
    batch_norm_momentum: float = 0.99,
    batch_norm_unbiased_variance: bool = False,
    dtype: DTypeLike = "float32",
) -> tuple[Segmenter, Variables]:
    """Creates a segmentation model and its variables; compiles nothing.

    The module maps RGB images, uint8 or floating [N, H, W, 3], 0..255, not normalised (the encoder's own preprocessing
    is inside), H and W multiples of its `encoder.output_stride`, to float32 logits [N, H, W, num_classes]:

        logits = model.apply(variables, image, train=False)
        logits, changed = model.apply(variables, image, train=True, mutable=["batch_stats"], rngs={"dropout": key})

    Args:
      decoder: a `config.DecoderName`: 'unet' or 'deeplabv3plus' (the paper's, on an encoder cut at stride 16), or one
        that stands on a whole encoder, such as 'fpn'.
      encoder: a `config.EncoderName`, such as 'resnet50' (Keras's), 'resnet50_v1_5' (torchvision's), 'efficientnet_b4'
        (Keras's) or 'convnext_tiny' (timm's).
      num_classes: C, 1..255. 1 = nucleus or background (sigmoid); more = background and C - 1 classes (softmax).
      head: 'hover' or 'distance' for an instance head beside the logits; its maps are in
        `model.apply(variables, image, train=False, method="outputs").maps`, float32 [N, H, W, 2 or 1].
      weights: folder that `nucseg convert --encoder=ENCODER --source=download --out=FOLDER` wrote; the encoder gets its
        values, every one of them. None = the whole model is initialised at random.
      seed: of the initial values, 0..2^32 - 1. Each array depends on the seed and its own name alone.
      dropout: rate of the decoder's dropout in training, 0 <= dropout < 1; the paper's is 0.7.
      output_stride: of the encoder's last features; None = the decoder's usual one. 'deeplabv3plus_dilated' can have
        8 too.
      drop_connect: rate at which EfficientNets and ConvNeXts drop residual branches in training, 0 <= rate < 1.
      width: factor on the channels of every layer, above 0, at most 4; 1 = the published network.
      encoder_depths: blocks of each stage of the encoder; () = the published ones.
      batch_norm_momentum: of the moving statistics, between 0 and 1.
      batch_norm_unbiased_variance: moving variances follow n / (n - 1) times the batch's, as in PyTorch.
      dtype: of computation, float32 or bfloat16; variables and logits are float32 with both.

    Returns:
      The module, and its variables: a dict of the collections 'params', 'batch_stats' and, for encoders that keep
      constants of their preprocessing, 'constants'; nested dicts of float32 NumPy arrays. `jax.device_put` them once
      if the model is called often.

    Raises:
      UserError: a ValueError that names the argument; `weights` that are missing, damaged, of another encoder, or
        without a layer that the model has.

    >>> model, variables = create_model("unet", encoder="resnet50", width=0.125, encoder_depths=(1, 1, 1))
    >>> sorted(variables), variables["params"]["head"]["kernel"].shape
    (['batch_stats', 'params'], (1, 1, 8, 1))
    """
    with _naming_arguments():
        row = DECODERS.get(decoder)
        usual_stride = row.output_strides[0] if row else ModelConfig().output_stride
        config = _checked(
            ModelConfig,
            encoder=encoder,
            decoder=decoder,
            num_classes=num_classes,
            head=head,
            dropout=dropout,
            output_stride=usual_stride if output_stride is None else output_stride,
            drop_connect=drop_connect,
            width=width,
            encoder_depths=encoder_depths,
            batch_norm_momentum=batch_norm_momentum,
            batch_norm_unbiased_variance=batch_norm_unbiased_variance,
        )
        chance = _checked(TrainConfig, seed=seed, dtype=_dtype_name(dtype))
        model = build_model(config, chance.dtype)
        variables = initial_variables(model, chance.seed)
        if weights is not None:
            loaded = load_encoder(user_path(weights), encoder, model.encoder).variables
            variables = {
                name: {**tree, "encoder": loaded[name]} if name in loaded else tree
                for name, tree in variables.items()
            }
    return model, variables


def create_encoder(
    encoder: str,
    *,
    weights: str | pathlib.Path | None = None,
    extent: Extent = "whole",
    output_stride: int | None = None,
    seed: int = 0,
    drop_connect: float = 0.2,
    width: float = 1.0,
    encoder_depths: Sequence[int] = (),
    batch_norm_momentum: float = 0.99,
    batch_norm_unbiased_variance: bool = False,
    dtype: DTypeLike = "float32",
) -> tuple[Encoder, Variables]:
    """Creates an encoder alone and its variables; compiles nothing.

    The module maps RGB images, uint8 or floating [N, H, W, 3], 0..255, to a `Pyramid` of features by stride:

        features = module.apply(variables, image, train=False)
        features.stride4, features.stride8, features.stride16, features.output    # [N, H/4, W/4, D], ...

    Args:
      encoder: as in `create_model`.
      weights: as in `create_model`.
      extent: 'whole' up to the last features before the classifier, or 'cut' at stride 16, where the paper's models
        cut it; weights of a cut encoder fit the cut one alone.
      output_stride: of the last features; None = 32 for 'whole', which can have 16 and 8 too (strides become
        dilations), and 16 for 'cut'.
      seed, drop_connect, width, encoder_depths, batch_norm_momentum, batch_norm_unbiased_variance, dtype: as in
        `create_model`.

    Returns:
      The module, with `taps` (the features it has), `stages` and `preprocessing`; and its variables, as those of
      `create_model`, without the level 'encoder'.

    Raises:
      UserError: as `create_model`.

    >>> module, variables = create_encoder("resnet50", extent="cut", width=0.125, encoder_depths=(1, 1, 1))
    >>> module.taps
    ('image', 'stride2', 'stride4_low_level', 'stride4', 'stride8', 'stride16', 'output')
    """
    with _naming_arguments():
        config = _checked(
            ModelConfig,
            encoder=encoder,
            drop_connect=drop_connect,
            width=width,
            encoder_depths=encoder_depths,
            batch_norm_momentum=batch_norm_momentum,
            batch_norm_unbiased_variance=batch_norm_unbiased_variance,
        )
        chance = _checked(TrainConfig, seed=seed, dtype=_dtype_name(dtype))
        if extent not in OUTPUT_STRIDES:
            raise UserError(f"extent is {extent!r}", expected=f"one of {', '.join(OUTPUT_STRIDES)}")
        strides = OUTPUT_STRIDES[extent]
        if output_stride not in (None, *strides):
            raise UserError(
                f"output_stride is {output_stride!r}",
                expected=f"{' or '.join(map(str, strides))} with extent={extent!r}",
            )
        module = build_encoder(
            encoder,
            extent=extent,
            output_stride=output_stride or strides[0],
            drop_connect=config.drop_connect,
            width=config.width,
            encoder_depths=config.encoder_depths,
            moving=_moving_statistics(config),
            dtype=jnp.dtype(chance.dtype),
        )
        if weights is not None:
            return module, load_encoder(user_path(weights), encoder, module).variables
        return module, initial_variables(module, chance.seed)


def build_model(config: ModelConfig, dtype: str) -> Segmenter:
    """Builds the module of a config.

    Args:
      config: section `model`.
      dtype: of computation, 'float32' or 'bfloat16'.

    Raises:
      UserError: fields that do not go with each other; it names them as 'model.field'.
    """
    return build_segmenter(
        encoder=config.encoder,
        decoder=config.decoder,
        num_classes=config.num_classes,
        head=config.head,
        dropout=config.dropout,
        output_stride=config.output_stride,
        drop_connect=config.drop_connect,
        width=config.width,
        encoder_depths=config.encoder_depths,
        moving=_moving_statistics(config),
        dtype=jnp.dtype(dtype),
    )


def _moving_statistics(config: ModelConfig) -> MovingStatistics:
    return MovingStatistics(
        momentum=config.batch_norm_momentum, unbiased_variance=config.batch_norm_unbiased_variance
    )


def _dtype_name(dtype: DTypeLike) -> str:
    try:
        return str(jnp.dtype(dtype).name)
    except TypeError:
        return str(dtype)


Section = TypeVar("Section", ModelConfig, TrainConfig)
_SECTION_NAMES: dict[type, str] = {ModelConfig: "model", TrainConfig: "train"}


def _checked(section: type[Section], **arguments: object) -> Section:
    """Returns a section of a config with some fields changed, all checked as those of a config file are."""
    plain = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in arguments.items()
    }
    values = dataclasses.asdict(section()) | plain
    config, faults = read_section(_SECTION_NAMES[section], section, values)
    if config is None:
        raise UserError(
            "; ".join(fault.found for fault in faults), expected="; ".join(f.expected for f in faults)
        )
    return config


# The checks of lower floors name fields of a config, since most models are built from one; here they are arguments.
_FIELD_NAMES = "|".join(
    f"{name}[.]{item.key}"
    for section, name in _SECTION_NAMES.items()
    for item in declared_fields(name, section)
)
_WEIGHTS = {
    "pretrained.path=''": "weights=None",
    "--config.pretrained.path": "weights",
    "pretrained.path": "weights",
}
_FIELD = re.compile(rf"(?<![\w./-])(?:{_FIELD_NAMES})\b")


@contextlib.contextmanager
def _naming_arguments() -> Iterator[None]:
    """Makes errors name the arguments of this file's functions in place of config fields."""
    try:
        yield
    except UserError as error:
        raise UserError(in_arguments(str(error))) from None


def in_arguments(message: str) -> str:
    """Replaces names of config fields by those of arguments.

    >>> in_arguments("set model.width=1.0, or pretrained.path='' to train from scratch")
    'set width=1.0, or weights=None to train from scratch'
    """
    for name, argument in _WEIGHTS.items():
        message = message.replace(name, argument)
    return _FIELD.sub(lambda found: found.group().partition(".")[2], message)
