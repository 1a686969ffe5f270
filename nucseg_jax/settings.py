"""The fields of a config as checked dataclasses; what each means stands beside its default in configs/base.py.

A field that has a default here came later than some run folders: it is what those runs did.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean, did_you_mean_field


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Section `data`."""

    source: str
    release_dir: str
    dir: str
    synthetic_patches_per_fold: int
    synthetic_seed: int
    allow_duplicates: bool = False
    patch_px: int = 256
    microns_per_px: float = 0.25
    image_microns_per_px: float = 0.0
    remainder: str = "reflect"


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """Section `split`."""

    protocol: str
    number: int
    seed: int
    max_patches: int
    folds: int = 5
    table: str = ""
    column: str = "fold"
    allow_shared_groups: bool = False


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Section `model`."""

    encoder: str
    decoder: str
    output_stride: int
    num_classes: int
    dropout: float
    drop_connect: float
    width: float
    encoder_depths: tuple[int, ...]
    batch_norm_momentum: float
    batch_norm_unbiased_variance: bool


@dataclasses.dataclass(frozen=True)
class PretrainedSettings:
    """Section `pretrained`."""

    path: str
    run: str = ""


@dataclasses.dataclass(frozen=True)
class TransferSettings:
    """Section `transfer`."""

    freeze_through: str
    freeze_batch_norm: bool
    encoder_lr_factor: float


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """Section `loss`."""

    l2: float
    l2_scope: str
    dice: float
    plain_dice: float
    cross_entropy: float
    focal: float
    tversky: float
    reduce: str
    smooth: float
    focal_gamma: float
    focal_alpha: float
    tversky_alpha: float
    tversky_beta: float
    skip_empty: bool = False


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Section `train`."""

    epochs: int
    batch_size: int
    lr: float
    tile_px: int
    seed: int
    dtype: str
    adam_b1: float
    adam_b2: float
    adam_epsilon: float
    plateau_factor: float
    plateau_patience_epochs: int
    plateau_min_delta: float
    plateau_min_scale: float
    log_every_steps: int
    checkpoint_every_steps: int
    deterministic: bool
    feed: str
    store: str
    steps_per_dispatch: int


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """Section `augment`."""

    flips: bool
    quarter_turns: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    stain_factor: float
    stain_offset: float
    blur_sigma_px: float
    noise_sd: float


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """Section `eval`."""

    batch_size: int
    reestimate_batch_norm: bool
    compare_statistics: str
    overlays: int
    time_inference: bool


@dataclasses.dataclass(frozen=True)
class MeshSettings:
    """Section `mesh`."""

    data: int
    fsdp: int = 1
    space: int = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """A whole config."""

    data: DataSettings
    split: SplitSettings
    model: ModelSettings
    pretrained: PretrainedSettings
    transfer: TransferSettings
    loss: LossSettings
    train: TrainSettings
    augment: AugmentSettings
    eval: EvalSettings
    mesh: MeshSettings

    def as_json(self) -> dict[str, Any]:
        """Nested dicts of JSON values, the inverse of `read_settings`."""
        plain = dataclasses.asdict(self)
        plain["model"]["encoder_depths"] = list(self.model.encoder_depths)
        return plain


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Checks names and types of every field; ranges are checked where the parts are built.

    Args:
      config: a mapping of sections, such as a ConfigDict or a run's config.json.

    Raises:
      UserError: lists every missing, unknown and wrongly typed field.
    """
    if not hasattr(config, "items"):
        raise UserError(
            f"the config is {config!r}"[:200], expected="sections of fields, as in configs/base.py"
        )
    faults: list[str] = []
    sections = typing.get_type_hints(Settings)
    faults += [
        f"unknown section {name!r}{did_you_mean(str(name), sections)}"
        for name in config
        if name not in sections
    ]
    read = {
        name: _read_section(name, section, config.get(name), faults) for name, section in sections.items()
    }
    if faults:
        raise UserError(
            "the config does not fit: " + "; ".join(faults),
            expected="the fields of configs/base.py with values of their type",
        )
    return Settings(**read)


def _read_section(name: str, section: type, values: Any, faults: list[str]) -> Any:
    if not hasattr(values, "items"):
        faults.append(f"section {name!r} is missing")
        return None
    fields = typing.get_type_hints(section)
    faults += [
        f"unknown field {name}.{field}{did_you_mean_field(f'{name}.{field}', field_names())}"
        for field in values
        if field not in fields
    ]
    read = {}
    for field, kind in fields.items():
        if field not in values and not hasattr(section, field):
            faults.append(f"field {name}.{field} is missing")
            continue
        value = values[field] if field in values else getattr(section, field)
        if isinstance(kind, types.GenericAlias):
            fits = isinstance(value, list | tuple) and all(type(item) is int for item in value)
            value = tuple(value) if fits else value
        elif kind is float:
            fits = type(value) in (int, float)
            value = float(value) if fits else value
        else:
            fits = type(value) is kind
        if not fits:
            faults.append(f"{name}.{field} is {value!r}, expected {getattr(kind, '__name__', kind)}")
        read[field] = value
    return section(**read) if read.keys() == fields.keys() else None


def field_names() -> list[str]:
    """'section.field' of every field."""
    return [
        f"{name}.{field.name}"
        for name, section in typing.get_type_hints(Settings).items()
        for field in dataclasses.fields(section)
    ]


def later_fields() -> dict[str, Any]:
    """What run folders of before a field came did, by the field's name: {'mesh.fsdp': 1}."""
    return {
        f"{name}.{field.name}": field.default
        for name, section in typing.get_type_hints(Settings).items()
        for field in dataclasses.fields(section)
        if field.default is not dataclasses.MISSING
    }


def differences(before: Settings, now: Settings) -> list[str]:
    """Lines such as 'train.lr: 0.0001 -> 0.001' for every field whose value differs."""
    old, new = before.as_json(), now.as_json()
    return [
        f"{section}.{field}: {old[section][field]!r} -> {value!r}"
        for section, fields in new.items()
        for field, value in fields.items()
        if old[section][field] != value
    ]
