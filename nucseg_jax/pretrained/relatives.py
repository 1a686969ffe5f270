"""Networks of timm that a PyTorch file may hold: those that are an encoder of the table, and its lookalikes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Relatives:
    """Knowledge about files that may or may not be an encoder.

    Attributes:
      title: the encoder and its lookalikes, for messages.
      architectures: timm's names of networks that compute what the encoder computes.
      example: a repository of timm's that fits.
      on_trust: what a file without a config.json leaves open.
    """

    title: str
    architectures: tuple[str, ...]
    example: str
    on_trust: str


# Families whose names and shapes other networks share. Of all others the encoder's own name is timm's.
_RELATIVES = {
    "resnet50_v1_5": Relatives(
        title="ResNet-50 (timm has many: resnet50d, seresnet50, ...)",
        # timm's names of what torchvision calls resnet50.
        architectures=("resnet50", "tv_resnet50", "gluon_resnet50_v1b"),
        example="timm/resnet50.tv_in1k",
        on_trust="that it is torchvision's network is taken on trust: timm's resnetaa50 and resnetblur50 have the same"
        " names and shapes",
    ),
}


def relatives_of(encoder: str) -> Relatives:
    """Returns what is known about the lookalikes of an encoder."""
    return _RELATIVES.get(encoder) or Relatives(
        title=encoder,
        architectures=(encoder,),
        example=f"one of timm/{encoder}.*",
        on_trust="that it was trained with ImageNet's mean and deviation is taken on trust: the file does not say it",
    )
