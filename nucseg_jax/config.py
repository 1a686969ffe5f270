"""Every field of a config, declared once: default, meaning, unit, source, range or choices, and what it affects.

Checks, resume rules, names of runs in reports, hints of commands and the reference page follow from the declarations
(`core.config_field`). A new field is a line here; with `was_added=True`, since run folders of earlier versions lack
it. "The paper" is Koishiyeva et al. (2024); its gaps are filled as the texts say.
"""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Mapping
from typing import Any, Literal

from nucseg_jax.core.config_field import Declared, Fault, FieldValue, declared_fields, field, read_section
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.core.paths import user_path
from nucseg_jax.core.strict_json import Json

SourceName = Literal["download", "release", "synthetic", "folder", "consep", "monuseg"]
Remainder = Literal["reflect", "drop"]
Sampling = Literal["uniform", "balanced"]
Protocol = Literal["official", "paper", "k_fold", "table"]
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
L2Scope = Literal["added", "all"]
Reduction = Literal["image", "batch"]
DtypeName = Literal["float32", "bfloat16"]
OptimizerName = Literal["paper", "adamw"]
ScheduleName = Literal["plateau", "cosine"]
FeedChoice = Literal["auto", "device", "host"]
Store = Literal["replicated", "sharded"]
Comparison = Literal["never", "end", "epochs"]
# Every output stride divides it.
TILE_UNIT_PX = 32
_LARGEST_SEED = 2**32 - 1
# Of a config file, for messages.
_EXAMPLE = "configs/base.py"


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Images and labels, and the data set that is prepared from them."""

    source: SourceName = field(
        "download",
        "PanNuke: download (its three archives), release (a folder that has them, zipped or unpacked), synthetic"
        " (drawn patches in the same layout, for trials). Your own images and labels: folder. As published: consep,"
        " monuseg.",
    )
    release_dir: str = field(
        "", "Folder of the images, for every source but download and synthetic.", affects="nothing"
    )
    dir: str = field(
        "data_dir", "Folder of prepared data sets (a TFDS data_dir).", affects="nothing", is_required=True
    )
    synthetic_patches_per_fold: int = field(40, "Patches in each fold of the synthetic data set.", at_least=5)
    synthetic_seed: int = field(0, "Seed of the synthetic data set.", at_least=0, at_most=_LARGEST_SEED)
    allow_duplicates: bool = field(
        False,
        "Lets `prepare` take a release with the same image in two folds, and `train` a split with nearly the same"
        " patch on two sides; both are refused otherwise.",
        affects="nothing",
        was_added=True,
    )
    patch_px: int = field(
        256,
        "Side of the patches that images are cut into; PanNuke's are 256. Training needs a multiple of 32.",
        at_least=1,
        affects="data",
        was_added=True,
    )
    microns_per_px: float = field(
        0.25,
        "Scale of the patches in microns per pixel, which is the model's; PanNuke's is 0.25.",
        at_least=0.01,
        at_most=10,
        affects="data",
        was_added=True,
    )
    image_microns_per_px: float = field(
        0.0,
        "Scale of the images in microns per pixel, where neither they nor dataset.yaml state it; 0 = they do.",
        at_least=0.01,
        at_most=10,
        or_equals=0,
        affects="data",
        was_added=True,
    )
    remainder: Remainder = field(
        "reflect",
        "Treatment of an image's edge that fills no patch: reflect (filled up with its reflection) or drop (left out).",
        affects="data",
        was_added=True,
    )
    sampling: Sampling = field(
        "uniform",
        "Tiles of an epoch. uniform: every training tile once. balanced: as many, drawn with replacement; tiles of rare"
        " groups (tissues) and of patches with rare classes come more often (CellViT, arXiv:2306.15350). The data set's"
        " classes count even if model.num_classes is 1.",
        was_added=True,
        phrase="{} sampling",
    )
    sampling_gamma: float = field(
        0.85,
        "balanced: 0 = no patch more often than another, 1 = in full inverse proportion to counts.",
        at_least=0,
        at_most=1,
        was_added=True,
    )

    @property
    def release_folder(self) -> pathlib.Path | None:
        """Path of `release_dir`; None where it is empty."""
        return user_path(self.release_dir) if self.release_dir else None

    @property
    def prepared_folder(self) -> pathlib.Path:
        """Path of `dir`."""
        return user_path(self.dir)


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """Division of the patches into training, validation and test."""

    protocol: Protocol = field(
        "official",
        "official: the authors' own division; PanNuke's is by whole folds. paper: 64/16/20 % of all patches at random,"
        " so slides are on both sides. k_fold: whole groups (patients, slides, tissues) dealt into folds. table: as a"
        " CSV file has it.",
    )
    number: int = field(
        1,
        "Number of the division, from 1. PanNuke: 1 trains on fold 1, validates on 2, tests on 3; 2 swaps the first"
        " two, 3 the outer two."
        " k_fold and tables of folds: the test fold; the next one validates, the rest trains.",
        at_least=1,
    )
    seed: int = field(
        0,
        "Seed of the shuffle (paper), of the folds (k_fold), of the validation groups where a division names none.",
        at_least=0,
        at_most=_LARGEST_SEED,
    )
    max_patches: int = field(0, "paper: patches to keep; 0 = all, the paper has 6,716.", at_least=0)
    folds: int = field(
        5,
        "k_fold: folds; 0 = each group is one, in the order of names (leave one group out).",
        at_least=0,
        was_added=True,
    )
    table: str = field(
        "",
        "table: path of a CSV file with the columns `image` and `split.column`.",
        affects="data",
        was_added=True,
    )
    column: str = field(
        "fold",
        "table: the column that holds train, validation and test, or names of folds.",
        was_added=True,
    )
    allow_shared_groups: bool = field(
        False,
        "table, official: lets patches of one group train and test, which is refused otherwise.",
        affects="data",
        was_added=True,
    )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    encoder: EncoderName = field(
        "resnet50",
        "The network whose features the decoder takes; README has a table of them.",
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


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The objective: a weighted sum of named losses, and L2."""

    l2: float = field(
        0.02,
        "Adds l2 * sum(w^2) to the loss, as Keras's l2(); Table 1.",
        at_least=0,
        is_per_model=True,
        phrase="L2 {:g}",
    )
    l2_scope: L2Scope = field(
        "added", "added: kernels of the new layers, head included. all: of the encoder too."
    )
    dice: float = field(
        1.0, "Weight of soft Dice, eq. 4, the paper's loss.", at_least=0, loss_term="dice_loss"
    )
    plain_dice: float = field(
        0.0, "Weight of soft Dice without squares; 0 = without it.", at_least=0, loss_term="plain_dice_loss"
    )
    cross_entropy: float = field(
        0.0,
        "Weight of cross-entropy (BCE for one class); 0 = without it.",
        at_least=0,
        loss_term="cross_entropy_loss",
    )
    focal: float = field(0.0, "Weight of the focal loss; 0 = without it.", at_least=0, loss_term="focal_loss")
    tversky: float = field(
        0.0, "Weight of the Tversky loss; 0 = without it.", at_least=0, loss_term="tversky_loss"
    )
    class_cross_entropy: float = field(
        0.5,
        "With an instance head and classes: weight of the cross-entropy of background and classes.",
        at_least=0,
        loss_term="class_cross_entropy_loss",
        was_added=True,
    )
    class_dice: float = field(
        0.2,
        "With an instance head and classes: weight of soft Dice without squares of the classes.",
        at_least=0,
        loss_term="class_dice_loss",
        was_added=True,
    )
    hover_mse: float = field(
        2.5,
        "With model.head=hover: weight of the squared error of its maps; 2.5 and 8 are those of CellViT.",
        at_least=0,
        loss_term="hover_mse_loss",
        was_added=True,
    )
    hover_gradient: float = field(
        8.0,
        "With model.head=hover: weight of the squared error of the maps' derivatives inside nuclei.",
        at_least=0,
        loss_term="hover_gradient_loss",
        was_added=True,
    )
    distance_mse: float = field(
        2.5,
        "With model.head=distance: weight of the squared error of its map.",
        at_least=0,
        loss_term="distance_mse_loss",
        was_added=True,
    )
    reduce: Reduction = field(
        "image", "Ratios of Dice and Tversky: one for each image, or one for the whole batch."
    )
    smooth: float = field(
        1e-6,
        "Summand that keeps the ratios of Dice and Tversky defined on empty patches. At 1e-6 a tile without a nucleus"
        " costs about 1 unless nothing is predicted there, so the mean does not fall below their share;"
        " `dice_loss_with_nuclei` is reported beside it.",
        above=0,
    )
    skip_empty: bool = field(
        False,
        "Leaves tiles without a nucleus out of the mean of Dice and Tversky (reduce = image); eq. 4 counts them.",
        was_added=True,
    )
    focal_gamma: float = field(
        2.0, "Exponent of the focal loss (Lin et al. 2017, arXiv:1708.02002).", at_least=1, or_equals=0
    )
    focal_alpha: float = field(
        0.25,
        "Weight of the foreground in the focal loss (the background's is 1 - alpha).",
        at_least=0,
        at_most=1,
    )
    tversky_alpha: float = field(
        0.3,
        "Weight of false positives in the Tversky loss (Salehi et al. 2017, arXiv:1706.05721).",
        at_least=0,
    )
    tversky_beta: float = field(0.7, "Weight of false negatives in the Tversky loss.", at_least=0)

    def weights(self, model: ModelConfig) -> dict[str, float]:
        """Returns the weight of every loss that a model can have: {'dice_loss': 1.0, 'plain_dice_loss': 0.0, ...}.

        A loss whose name begins with that of an instance head is of that head alone; one that begins with `class` is
        of models with a head and classes.
        """
        prefixes = {"class"} if model.head != "none" and model.num_classes > 1 else set()
        absent = {"class", *typing.get_args(HeadName)} - {model.head} - prefixes
        return {
            declared.loss_term: getattr(self, declared.key)
            for declared in declared_fields("loss", LossConfig)
            if declared.loss_term and declared.loss_term.partition("_")[0] not in absent
        }


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
    seed: int = field(
        0,
        "Seed of initial weights, order, augmentation and dropout.",
        at_least=0,
        at_most=_LARGEST_SEED,
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
class AugmentConfig:
    """Augmentation of training tiles, inside the step, drawn for each tile in each epoch.

    The paper names none. Flips and quarter turns move image and label together; the others change the image alone and
    are off at 0. They are applied in the order of `ops/augment/augmentation.py`.
    """

    flips: bool = field(True, "Flips, left-right and up-down, each for half of the tiles.")
    quarter_turns: bool = field(True, "A quarter turn for half of the tiles.")
    brightness: float = field(
        0.0,
        "A factor is drawn uniformly from 1 -+ this (the range of torchvision's ColorJitter; .2 is usual).",
        at_least=0,
        at_most=1,
    )
    contrast: float = field(0.0, "As brightness.", at_least=0, at_most=1)
    saturation: float = field(0.0, "As brightness.", at_least=0, at_most=1)
    hue: float = field(
        0.0, "A turn is drawn uniformly from -+ this share of the colour circle.", at_least=0, at_most=0.5
    )
    stain_factor: float = field(
        0.0,
        "Amounts of haematoxylin, eosin and DAB: each times a factor from 1 -+ this, plus -+ stain_offset"
        " (Tellez et al. 2018; factors of .05 are light, .2 strong in Tellez et al. 2019). White stays white.",
        at_least=0,
        at_most=1,
    )
    stain_offset: float = field(
        0.0, "Offset of these amounts, in units of optical density.", at_least=0, at_most=1
    )
    blur_sigma_px: float = field(
        0.0, "Standard deviation of a Gaussian blur in pixels, drawn from 0 to this.", at_least=0, at_most=5
    )
    noise_sd: float = field(
        0.0,
        "Standard deviation of Gaussian noise in grey levels of 255, drawn from 0 to this.",
        at_least=0,
        at_most=255,
    )


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Evaluation."""

    batch_size: int = field(8, "Whole patches per batch; no score depends on it.", at_least=1)
    reestimate_batch_norm: bool = field(
        False,
        "Estimates batch norm's statistics again on the training tiles before every evaluation; the paper uses the"
        " moving ones, which lag behind the weights while strong L2 still shrinks them.",
        phrase=lambda again: "re-estimated statistics" if again else "moving statistics",
    )
    compare_statistics: Comparison = field(
        "never",
        "When to score also with the statistics of the batch at hand, which the model trains with, and with moving or"
        " re-estimated ones, whichever reestimate_batch_norm did not choose. end: when training ends, and in"
        " `evaluate`; epochs: also with those of the batch at hand in every validation.",
        affects="nothing",
    )
    overlays: int = field(
        6,
        "Patches of each split whose predictions are drawn, spread evenly; half as many best and worst ones are kept"
        " for the report too.",
        at_least=0,
        affects="nothing",
    )
    instances: bool = field(
        False,
        "Finds and scores nuclei (PQ, AJI, F1) of a run without an instance head too when training ends, and in"
        " `evaluate`; one with a head always does.",
        affects="nothing",
        was_added=True,
    )
    time_inference: bool = field(
        True,
        "Measures seconds per image at batch 1 and 8 when training ends (Table 5).",
        affects="nothing",
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


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole config; `Config()` is the paper's protocol wherever it states one."""

    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    pretrained: PretrainedConfig = PretrainedConfig()
    transfer: TransferConfig = TransferConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    eval: EvalConfig = EvalConfig()
    mesh: MeshConfig = MeshConfig()

    def as_json(self) -> dict[str, dict[str, Json]]:
        """Returns nested dicts of JSON values, the inverse of `read_config`."""
        return {
            section: {
                key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()
            }
            for section, fields in dataclasses.asdict(self).items()
        }


@functools.cache
def config_fields() -> Mapping[str, Declared]:
    """Returns the declaration of every field, by 'section.field' in the order of the config."""
    sections = typing.get_type_hints(Config)
    return {
        declared.name: declared
        for name, section in sections.items()
        for declared in declared_fields(name, section)
    }


def may_change_on_resume(name: str) -> bool:
    """Returns whether a run may be resumed with another value of 'section.field'; False for names it does not know."""
    declared = config_fields().get(name)
    return declared is not None and declared.may_change_on_resume


def default_config() -> dict[str, dict[str, FieldValue]]:
    """Returns the defaults as {section: {field: value}}, for a config file to change."""
    return dataclasses.asdict(Config())


def read_config(values: Mapping[str, object]) -> Config:
    """Checks names, types, ranges and choices of every field, and the fields that depend on each other.

    Args:
      values: a mapping of sections, such as a ConfigDict or a run's config.json. A field that was added later and is
        missing has its default.

    Raises:
      UserError: lists every missing, unknown, wrongly typed and disallowed field; or else the first fields that
        contradict each other.
    """
    if not hasattr(values, "items"):
        raise UserError(f"the config is {values!r}"[:200], expected=f"sections of fields, as in {_EXAMPLE}")
    sections = typing.get_type_hints(Config)
    faults = [
        Fault(f"unknown section {name!r}{did_you_mean(str(name), sections)}", ", ".join(sections))
        for name in values
        if name not in sections
    ]
    read: dict[str, Any] = {}
    for name, section in sections.items():
        read[name], found = read_section(name, section, values.get(name), config_fields())
        faults += found
    if len(faults) == 1:
        raise UserError(faults[0].found, expected=faults[0].expected)
    if faults:
        raise UserError(
            "; ".join(f"{fault.found} (expected: {fault.expected})" for fault in faults),
            expected=f"the fields of {_EXAMPLE}, with the values that docs/config.md allows",
        )
    config = Config(**read)
    _require_fields_together(config)
    return config


def _require_fields_together(config: Config) -> None:
    """Raises UserError for fields that do not go with each other."""
    loss, split, pretrained = config.loss, config.split, config.pretrained
    weights = loss.weights(config.model)
    if not any(weights.values()):
        terms = [item.name for item in config_fields().values() if item.loss_term in weights]
        raise UserError("every weight of a loss is 0", expected=f"at least one of {', '.join(terms)} above 0")
    if not loss.tversky_alpha + loss.tversky_beta > 0:
        raise UserError("loss.tversky_alpha and loss.tversky_beta are both 0", expected="one above 0")
    if loss.skip_empty and loss.reduce != "image":
        raise UserError(
            f"loss.skip_empty is True and loss.reduce is {loss.reduce!r}",
            expected="loss.reduce='image': the ratio of a whole batch has no tile to skip",
        )
    if split.protocol == "table" and not (split.table and split.column):
        raise UserError(
            "split.protocol is table, but split.table or split.column is empty",
            expected="a CSV file with the columns image and split.column",
            advice="add --config.split.table=FILE --config.split.column=NAME",
        )
    if pretrained.path and pretrained.run:
        raise UserError(
            "pretrained.path and pretrained.run are both given",
            expected="one of them: weights of an encoder, or a trained run with its whole model",
            advice="leave one out, or empty it: --config.pretrained.path=",
        )
    _require_optimizer_fields_together(config)


def _require_optimizer_fields_together(config: Config) -> None:
    """Raises UserError for fields of optimizer, schedule and freezing that do not go with each other."""
    train, transfer, l2 = config.train, config.transfer, config.loss.l2
    if train.optimizer == "adamw" and l2:
        raise UserError(
            f"loss.l2 is {l2:g} and train.optimizer is adamw",
            expected="loss.l2=0: AdamW decays weights by itself, and Adam would rescale the gradient of L2",
            advice="add --config.loss.l2=0 --config.train.weight_decay=NUMBER",
        )
    if train.optimizer == "paper" and train.weight_decay:
        raise UserError(
            f"train.weight_decay is {train.weight_decay:g} and train.optimizer is paper, whose L2 is loss.l2",
            expected="train.weight_decay=0, or train.optimizer=adamw",
        )
    if train.schedule == "plateau" and train.warmup_epochs:
        raise UserError(
            f"train.warmup_epochs is {train.warmup_epochs:g} and train.schedule is plateau, which has no warm-up",
            expected="train.warmup_epochs=0, or train.schedule=cosine",
        )
    for name, epochs in (
        ("train.warmup_epochs", train.warmup_epochs),
        ("transfer.unfreeze_after_epochs", transfer.unfreeze_after_epochs),
    ):
        if epochs and epochs >= train.epochs:
            raise UserError(f"{name} is {epochs:g}", expected=f"less than train.epochs, {train.epochs}")
    if transfer.unfreeze_after_epochs and transfer.freeze_through == "all":
        raise UserError(
            "transfer.freeze_through is all, and transfer.unfreeze_after_epochs is not 0",
            expected="one of them: an encoder that is frozen for good, or for the first epochs",
        )


def differences(before: Config, now: Config) -> dict[str, str]:
    """Returns lines such as 'train.lr: 0.0001 -> 0.001' by 'section.field', for every field whose value differs."""
    old, new = before.as_json(), now.as_json()
    lines = {}
    for name in config_fields():
        section, _, key = name.partition(".")
        was, is_now = old[section][key], new[section][key]
        if was != is_now:
            lines[name] = f"{name}: {was!r} -> {is_now!r}"
    return lines
