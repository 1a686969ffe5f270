"""The whole config: its sections in order, its defaults, and how two differ."""

import dataclasses
import functools
import typing
from collections.abc import Mapping

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.config.data import DataConfig, SplitConfig
from nucseg_jax.config.evaluation import EvalConfig
from nucseg_jax.config.loss import LossConfig
from nucseg_jax.config.model import ModelConfig, PretrainedConfig, TransferConfig
from nucseg_jax.config.train import MeshConfig, TrainConfig
from nucseg_jax.core.config_field import Declared, FieldValue, declared_fields
from nucseg_jax.core.strict_json import Json


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
