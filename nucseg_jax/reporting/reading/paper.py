"""Numbers of the paper: Koishiyeva et al. (2024), the numbers of our copy and no others.

Of Tables 2 and 3 our copy has two numbers, both rounded to two digits. Table 5 repeats Table 4's numbers; the times
stand in the text, and what the seconds of inference are counted for (an image, a batch, the test set) is not said.
"""

import dataclasses
from collections.abc import Mapping

CITATION = "Koishiyeva et al. (2024)"
DEVICE = "one V100"
# Its numbers stand beside runs on this data set alone.
DATA_SET = "PanNuke"
# Section 3: how it trained.
PROTOCOL = "120 epochs of whole 256 px patches, batch 8, learning rate 0.0001"


@dataclasses.dataclass(frozen=True, eq=False)
class PaperModel:
    """A row of the paper's tables; equal to itself alone.

    Attributes:
      name: as the paper has it.
      decoder, encoder: values of `model.decoder` and `model.encoder`.
      config: the file that holds it here.
      parameters, size_mb, dropout, l2: Table 1.
      train, validation, test: what is known of Tables 2, 3 and 4; metric names of `evaluation.scores`, and loss.
      training_min, inference_s: from the text.
    """

    name: str
    decoder: str
    encoder: str
    config: str
    parameters: int
    size_mb: float
    dropout: float
    l2: float
    test: Mapping[str, float]
    training_min: float
    inference_s: float
    train: Mapping[str, float] = dataclasses.field(default_factory=dict)
    validation: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def known(self, split: str) -> Mapping[str, float]:
        """Returns the values of the table of 'train', 'validation' or 'test'."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


# The order of Table 1.
# fmt: off
PAPER_MODELS = (
    PaperModel(
        *("U-Net ResNet-50", "unet", "resnet50", "configs/unet_resnet50.py"),
        15_676_865, 59.80, 0.7, 0.01,
        {"dice": 0.8286, "iou": 0.7121, "sensitivity": 0.8116, "accuracy": 0.9474, "loss": 0.3272},
        *(37.42, 0.93),
    ),
    PaperModel(
        *("U-Net EfficientNet-B4", "unet", "efficientnet_b4", "configs/unet_efficientnet_b4.py"),
        14_932_072, 56.96, 0.5, 0.01,
        {"dice": 0.8138, "iou": 0.7111, "sensitivity": 0.7911, "accuracy": 0.9458, "loss": 0.2827},
        *(43.65, 0.88),
    ),
    PaperModel(
        *("DeepLabV3+ ResNet-50", "deeplabv3plus", "resnet50", "configs/deeplabv3plus_resnet50.py"),
        30_462_849, 116.21, 0.7, 0.02,
        {"dice": 0.8356, "iou": 0.7280, "sensitivity": 0.8570, "accuracy": 0.9455, "loss": 0.3212},
        *(23.37, 0.50),
    ),
    PaperModel(
        *("DeepLabV3+ EfficientNet-B4", "deeplabv3plus", "efficientnet_b4"),
        "configs/deeplabv3plus_efficientnet_b4.py",
        14_306_600, 54.58, 0.25, 0.01,
        {"dice": 0.6419, "iou": 0.4893, "sensitivity": 0.5212, "accuracy": 0.9166, "loss": 0.3543},
        *(34.41, 0.64),
        train={"dice": 0.87},
        validation={"sensitivity": 0.83},
    ),
)
# fmt: on
