"""`model.json`: all that a model folder states about its model beside the weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self

from nucseg_jax import __version__
from nucseg_jax.config import Config, config_fields
from nucseg_jax.config.whole import default_config
from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_from_json, rule_to_json
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json, target_to_json
from nucseg_jax.ops.stain_normalization.target import StainTarget

# Raised when an earlier version would misread what a later one writes. New keys that it may ignore do not raise it.
FORMAT = 1
NOT_STATED = "not stated"
StoredDtype = Literal["float32", "float16"]


def first_line(licence: str) -> str:
    """Returns the first line of a licence's text, which names it.

    >>> first_line("CC BY 4.0 "), first_line("")
    ('CC BY 4.0', 'not stated')
    """
    return next((line.strip() for line in licence.splitlines() if line.strip()), NOT_STATED)


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """Facts about a model.

    Attributes:
      model: section `model` of the run's config, as JSON values.
      compute_dtype: `train.dtype` of the run: that of encoder and decoder.
      info: of the data set that it was trained on.
      rule: what counts as a nucleus.
      checkpoint_step: optimizer steps of the run's best checkpoint.
      stored_dtype: of the weights in the file.
      kept_float32: names of the arrays that a float16 file has as float32.
      scores: of the run on its test split, before any rounding of its weights: 'patches', and conventions as in
        results.json; {} = none.
      stain: what images are normalised to before the model sees them; None = they are not.
      licence: of the weights, free text; '' = not stated.
      notes: free text; '' = none.
      package_version: the version that wrote it.
    """

    model: Mapping[str, object]
    compute_dtype: str
    info: DatasetInfo
    rule: NucleusRule
    checkpoint_step: int
    stored_dtype: StoredDtype
    kept_float32: tuple[str, ...] = ()
    scores: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stain: StainTarget | None = None
    licence: str = ""
    notes: str = ""
    package_version: str = __version__

    @classmethod
    def of_config(cls, config: Config, **others: Any) -> Self:
        """Takes from a run's config what predictions depend on; the other facts are given."""
        values = config.as_json()
        return cls(model=values["model"], compute_dtype=config.train.dtype, **others)

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        """A whole config with this model: fields that no prediction depends on have their defaults.

        A field of `model` that came with a later version is missing in older files and has its default, as in runs.
        """
        values: dict[str, dict[str, Any]] = {name: dict(fields) for name, fields in default_config().items()}
        values["model"] = dict(self.model)
        values["train"]["dtype"] = self.compute_dtype
        return values

    def as_json(self) -> JsonObject:
        """JSON values, without digests."""
        return {
            "format": FORMAT,
            "package_version": self.package_version,
            "config": {"model": dict(self.model), "train": {"dtype": self.compute_dtype}},
            "dataset": self.info.as_json(),
            "nucleus_rule": rule_to_json(self.rule),
            "checkpoint_step": self.checkpoint_step,
            "stored_dtype": self.stored_dtype,
            "kept_float32": list(self.kept_float32),
            "stain_target": None if self.stain is None else target_to_json(self.stain),
            "scores": dict(self.scores),
            "licence": self.licence,
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """The inverse of `as_json`.

        Raises:
          ValueError, KeyError, TypeError, AttributeError: the values are shaped otherwise, or of a later format.
        """
        if type(values["format"]) is not int or not 1 <= values["format"] <= FORMAT:
            raise ValueError(
                f"it has the format {values['format']!r}, written by nucseg_jax {values.get('package_version')};"
                f" this version reads up to {FORMAT}"
            )
        model = dict(values["config"]["model"])
        unknown = [name for name in model if f"model.{name}" not in config_fields()]
        if unknown:
            raise ValueError(
                f"its network has fields that this version lacks: {', '.join(unknown)}; nucseg_jax"
                f" {values.get('package_version')} wrote it"
            )
        texts = {name: values[name] for name in ("package_version", "stored_dtype", "licence", "notes")}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise TypeError(f"{name} is {text!r}, expected text")
        if type(values["checkpoint_step"]) is not int:
            raise TypeError(f"checkpoint_step is {values['checkpoint_step']!r}, expected a whole number")
        return cls(
            model=model,
            compute_dtype=values["config"]["train"]["dtype"],
            info=DatasetInfo.from_json(values["dataset"]),
            rule=rule_from_json(values["nucleus_rule"]),
            checkpoint_step=values["checkpoint_step"],
            kept_float32=tuple(values["kept_float32"]),
            stain=None if values["stain_target"] is None else target_from_json(values["stain_target"]),
            scores=dict(values["scores"]),
            **texts,
        )
