"""Fields of `train` and `mesh`: schedule, optimizer and feed of training, and the devices."""

import dataclasses
from typing import Literal

from nucseg_jax.config.data import LARGEST_SEED
from nucseg_jax.core.config_field import field
from nucseg_jax.core.counted import counted

DtypeName = Literal["float32", "bfloat16"]
OptimizerName = Literal["paper", "adamw"]
ScheduleName = Literal["plateau", "cosine"]
FeedChoice = Literal["auto", "device", "host"]
Crops = Literal["grid", "random"]
Store = Literal["replicated", "sharded"]
# Every output stride divides it.
TILE_UNIT_PX = 32


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Schedule, optimizer and feed of training."""

    epochs: int = field(
        120,
        "Epochs of training. Paper, section 3: 120 epochs, batch 8, Adam at 1e-4.",
        at_least=1,
        phrase=lambda epochs: counted(epochs, "epoch"),
    )
    batch_size: int = field(8, "Tiles per step.", at_least=1, phrase="batch {}")
    lr: float = field(1e-4, "Learning rate of Adam.", at_least=0, phrase="learning rate {:g}")
    tile_px: int = field(
        256,
        "Side of the square tiles that patches are cut into: a multiple of 32 that divides a patch; 256 = PanNuke's"
        " whole patches.",
        at_least=TILE_UNIT_PX,
        multiple_of=TILE_UNIT_PX,
        phrase="{} px tiles",
    )
    crops: Crops = field(
        "grid",
        "Places of the tiles in a patch. grid: side by side. random: as many, cut anywhere, other ones in each epoch;"
        " train.tile_px must then be smaller than a patch.",
        was_added=True,
        phrase="{} crops",
    )
    seed: int = field(
        0,
        "Seed of initial weights, order, augmentation and dropout.",
        at_least=0,
        at_most=LARGEST_SEED,
        affects="chance",
    )
    dtype: DtypeName = field(
        "float32",
        "Dtype of computation: float32 or bfloat16. Parameters, statistics, loss and logits stay float32.",
        phrase="{}",
    )
    optimizer: OptimizerName = field(
        "paper",
        "paper: Keras's Adam on the gradients of the loss and of L2. adamw: optax's AdamW; weight_decay replaces"
        " loss.l2, which must be 0.",
        was_added=True,
        phrase=lambda name: "AdamW" if name == "adamw" else "the paper's Adam",
    )
    weight_decay: float = field(
        0.0,
        "adamw: each step takes lr * weight_decay of every kernel away; .05 is usual for ConvNeXts, 1e-4 is CellViT's.",
        at_least=0,
        was_added=True,
        phrase="weight decay {:g}",
    )
    adam_b1: float = field(0.9, "Decay of Adam's first moment; Keras's default.", above=0, below=1)
    adam_b2: float = field(0.999, "Decay of Adam's second moment; Keras's default.", above=0, below=1)
    adam_epsilon: float = field(1e-7, "Adam's epsilon; Keras's default.", above=0)
    schedule: ScheduleName = field(
        "plateau",
        "Learning rate: plateau (falls when the validation loss stays, plateau_*) or cosine (rises for warmup_epochs,"
        " then falls as half a cosine to final_lr_factor).",
        was_added=True,
        phrase="{} schedule",
    )
    warmup_epochs: float = field(
        0.0,
        "cosine: epochs, or a fraction of one, in which the learning rate rises from 0 by the same amount each step.",
        at_least=0,
        was_added=True,
    )
    final_lr_factor: float = field(
        0.01,
        "cosine: the learning rate of the last step, as a factor on train.lr.",
        at_least=0,
        at_most=1,
        was_added=True,
    )
    plateau_factor: float = field(
        0.1,
        'Factor on the learning rate at a plateau of the validation loss. "Adjusted dynamically" in the paper; read as'
        " Keras's ReduceLROnPlateau with Keras's defaults, but for the floor. (The best checkpoint is another matter:"
        " highest micro Dice in validation.)",
        above=0,
        below=1,
    )
    plateau_patience_epochs: int = field(
        10, "Epochs without a better validation loss before the learning rate falls.", at_least=1
    )
    plateau_min_delta: float = field(
        1e-4, "Smallest fall of the validation loss that counts as better.", above=0
    )
    plateau_min_scale: float = field(
        1e-3, "Floor of the learning rate, as a factor on train.lr.", at_least=0, at_most=1
    )
    ema_decay: float = field(
        0.0,
        "Decay of an average of the weights and of batch norm's moving statistics, taken after each step; 0 = none."
        " Validation, the plateau schedule, the best checkpoint, scores and predictions are then of the average."
        " After t steps the decay is at most (1 + t) / (10 + t).",
        at_least=0,
        below=1,
        was_added=True,
        phrase="EMA {:g}",
    )
    log_every_steps: int = field(
        20, "Steps between two lines of metrics.jsonl.", at_least=1, affects="nothing"
    )
    checkpoint_every_steps: int = field(
        0,
        "Steps between two checkpoints within an epoch; 0 = only at the end of each epoch.",
        at_least=0,
        affects="nothing",
    )
    deterministic: bool = field(
        False, "Bit-identical repeats on GPU, at some cost in speed; on CPU they are without it."
    )
    feed: FeedChoice = field(
        "auto",
        "Place of the training patches. device: uint8 in the devices' memory, cut inside the step. host: read from disk"
        " as they are needed, for sets larger than memory. auto: device where they fit a quarter of a device's memory,"
        " and all patches half of the host's.",
        affects="program",
    )
    store: Store = field(
        "replicated",
        "device: replicated (all patches on every device) or sharded (a share of them on each).",
        affects="program",
    )
    steps_per_dispatch: int = field(
        0,
        "Steps that the device runs in one compiled loop; 0 = 1 on CPU, where XLA's convolutions are slower in a"
        " loop, and 8 elsewhere.",
        at_least=0,
    )


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """The device mesh, data x fsdp x space (runtime/mesh.py); it changes results by rounding alone."""

    data: int = field(
        0,
        "The batch is split over data x fsdp; 0 = as many devices as there are and as divide the batches.",
        at_least=0,
        affects="program",
    )
    fsdp: int = field(
        1,
        "Parameters, optimizer state and batch statistics are split over these, and gathered for each forward pass.",
        at_least=1,
        affects="program",
        was_added=True,
    )
    space: int = field(1, "Image rows are split over these.", at_least=1, affects="program", was_added=True)
