"""Fields of `model`, `pretrained` and `transfer`: the network, and what it begins with."""

import dataclasses
from typing import Literal

from nucseg_jax.core.config_field import field
from nucseg_jax.core.counted import counted

EncoderName = Literal[
    "resnet50",
    "resnet50_v1_5",
    "resnet101",
    "resnet152",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
]


HeadName = Literal["none", "hover", "distance"]
DecoderName = Literal["unet", "deeplabv3plus", "unet_five_levels", "deeplabv3plus_dilated", "fpn"]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    encoder: EncoderName = field(
        "resnet50",
        "The network whose features the decoder takes; docs/weights.md has a table of them.",
        affects="model",
    )
    decoder: DecoderName = field(
        "deeplabv3plus",
        "unet and deeplabv3plus are the paper's, on an encoder cut at stride 16; the others stand on a whole encoder.",
        affects="model",
    )
    output_stride: int = field(
        16,
        "Output stride of the encoder: 16 for the paper's decoders; on a whole encoder 32, or 16 and 8 for"
        " deeplabv3plus_dilated.",
        affects="model",
    )
    num_classes: int = field(
        1,
        "1 = nucleus or not (the paper); else background and each class of the data set, 6 for PanNuke's five.",
        at_least=1,
        at_most=255,
        affects="model",
    )
    head: HeadName = field(
        "none",
        "Instance head: maps beside the logits from which touching nuclei are parted. none = their shape alone parts"
        " them (the paper); hover: HoVer-Net's horizontal and vertical distances to a nucleus's centre; distance:"
        " distance to its edge. With a head nuclei have a logit of their own beside those of the classes.",
        affects="model",
        was_added=True,
        phrase=lambda head: "no instance head" if head == "none" else f"{head} head",
    )
    dropout: float = field(
        0.7,
        "Table 1's rate; decoders take it or a share of it at each place where the paper has dropout.",
        at_least=0,
        below=1,
        is_per_model=True,
        phrase="dropout {:g}",
    )
    drop_connect: float = field(
        0.2,
        "Rate at which EfficientNets and ConvNeXts drop a whole residual branch, rising to this at the last block;"
        " Keras's value.",
        at_least=0,
        below=1,
        is_per_model=True,
    )
    width: float = field(
        1.0,
        "Factor on the channels of every layer; 1 = the paper's model.",
        above=0,
        at_most=4,
        affects="model",
    )
    encoder_depths: tuple[int, ...] = field(
        (),
        "Blocks of each stage that is built whole; () = the published ones, (3, 4, 6) for the cut ResNet-50.",
        affects="model",
    )
    batch_norm_momentum: float = field(
        0.99,
        "Momentum of the moving statistics; Keras's default.",
        above=0,
        below=1,
        phrase="momentum {:g}",
    )
    batch_norm_unbiased_variance: bool = field(
        False,
        "Moving variances follow n / (n - 1) times the batch's, n values a channel, as in PyTorch and in the fused"
        " kernel of TensorFlow 2.15, which the paper ran on; False = as in Keras 3.",
    )


@dataclasses.dataclass(frozen=True)
class PretrainedConfig:
    """The weights that training starts from."""

    path: str = field(
        "",
        "Orbax checkpoint of encoder weights; '' = from scratch. The paper starts from ImageNet.",
        affects="start",
    )
    run: str = field(
        "",
        "Folder of a trained run: the whole model starts from its best checkpoint, but for a classifier of other"
        " classes. Not with pretrained.path.",
        affects="start",
        was_added=True,
    )


def _frozen_phrase(stage: str) -> str:
    return "encoder frozen" if stage == "all" else f"frozen through {stage}" if stage else "nothing frozen"


@dataclasses.dataclass(frozen=True)
class TransferConfig:
    """Training that leaves parts of the encoder as they were pretrained."""

    freeze_through: str = field(
        "",
        "The last encoder stage that training leaves alone, with all before it: conv1 to conv5 in ResNets; stem, block1"
        " to block7, top in EfficientNets; stem, stages_0 to stages_3 in ConvNeXts; 'all'. '' = everything is trained,"
        " as in the paper.",
        phrase=_frozen_phrase,
    )
    freeze_batch_norm: bool = field(
        True,
        "Frozen stages also keep their moving statistics and normalise with them in training, as in Keras; False ="
        " only their parameters are frozen.",
    )
    encoder_lr_factor: float = field(1.0, "Factor on the learning rate of the encoder.", at_least=0)
    unfreeze_after_epochs: int = field(
        0,
        "First epochs that leave the encoder's parameters alone; 0 = none. Batch norm works as in later epochs, and an"
        " epoch takes as long.",
        at_least=0,
        was_added=True,
        phrase=lambda epochs: (
            f"encoder frozen for {counted(epochs, 'epoch')}" if epochs else "no frozen epochs"
        ),
    )
