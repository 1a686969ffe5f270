"""Runs that differ only by chance are one configuration; configurations have names that tell them apart."""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.config import config_fields
from nucseg_jax.core.counted import counted
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.models.build import DECODERS, ENCODERS
from nucseg_jax.pretrained.official import OFFICIAL_FILES
from nucseg_jax.reporting.reading.labels import distinct_labels, sweep_order
from nucseg_jax.reporting.reading.paper import DATA_SET, PAPER_MODELS, PaperModel
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.reading.same_data import data_set_keys

WEIGHTS = "pretrained.weights"
SCRATCH = "scratch"
# Of `model.head`; runs of earlier versions have no such field.
NO_HEAD = "none"


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """Runs that differ in their seeds, and in fields that change no number.

    Attributes:
      name: model and whatever tells it from the other configurations of the report.
      label: the label that a sweep gave its runs; the name where there is none.
      model: the model's name alone.
      paper: the paper's row it stands beside; None for other networks, narrow ones included, and on other data.
      runs: by seed.
      fields: values of all fields that may differ, by name.
    """

    name: str
    label: str
    model: str
    paper: PaperModel | None
    runs: tuple[Run, ...]
    fields: Mapping[str, Any]

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs that have results."""
        return tuple(run for run in self.runs if run.results is not None)


@dataclasses.dataclass(frozen=True, eq=False)
class Cohort:
    """Configurations on one data set, split alike: the only ones that are compared.

    In the order of their sweep, then those of none in the order of the paper's models, within a model that with most
    finished runs first.
    """

    split_digest: str
    data_digest: str
    configurations: tuple[Configuration, ...]

    @property
    def info(self) -> DatasetInfo:
        """Names and scale of the data set; configurations with classes name their own."""
        return self.configurations[0].runs[0].info

    @property
    def runs(self) -> tuple[Run, ...]:
        """Returns the fields of all configurations."""
        return tuple(run for configuration in self.configurations for run in configuration.runs)


def make_cohorts(runs: Sequence[Run]) -> tuple[Cohort, ...]:
    """Sorts runs into cohorts and configurations; the cohort with most runs first.

    Runs that differ by seeds, by the weights' path, or in fields that may change on resume are one configuration; the
    weights themselves are compared by their digest.
    """
    weights = weights_names(runs)
    all_fields = [{**comparable_fields(run), WEIGHTS: name} for run, name in zip(runs, weights, strict=True)]
    data_sets = data_set_keys(runs)
    groups: dict[tuple[str, str], list[int]] = {}
    for number in range(len(runs)):
        key = json.dumps(all_fields[number], sort_keys=True)
        groups.setdefault((data_sets[number], key), []).append(number)
    told = _told_fields([all_fields[numbers[0]] for numbers in groups.values()])
    cohorts: dict[str, list[Configuration]] = {}
    for (data_set, _), numbers in groups.items():
        fields, members = all_fields[numbers[0]], [runs[number] for number in numbers]
        model = model_name(members[0])
        configuration = Configuration(
            name=", ".join([model, *(phrase(name, fields.get(name)) for name in told[_network(fields)])]),
            label="",
            model=model,
            paper=paper_model(members[0]),
            runs=tuple(sorted(members, key=lambda run: (str(run.seed), str(run.path)))),
            fields=fields,
        )
        cohorts.setdefault(data_set, []).append(configuration)
    made = []
    for configurations in cohorts.values():
        run = configurations[0].runs[0]
        labels = distinct_labels([(each.name, each.runs) for each in configurations])
        labelled = [
            dataclasses.replace(each, label=label) for each, label in zip(configurations, labels, strict=True)
        ]
        made.append(Cohort(run.split_digest, run.data_digest, tuple(sorted(labelled, key=_order))))
    return tuple(sorted(made, key=lambda cohort: -len(cohort.runs)))


def comparable_fields(run: Run) -> dict[str, Any]:
    """Returns the fields that make two runs one configuration or two, a field that the run lacks with its default.

    Data and split are compared by their digests. Fields that this version does not know are compared too.
    """
    fields = {name: item.default for name, item in config_fields().items() if item.was_added} | {
        f"{section}.{name}": value for section, values in run.config.items() for name, value in values.items()
    }
    return {
        name: value
        for name, value in fields.items()
        if not name.startswith(("data.", "split.")) and _affects(name) in ("model", "results")
    }


def _affects(name: str) -> str:
    declared = config_fields().get(name)
    return declared.affects if declared else "results"


def weights_names(runs: Sequence[Run]) -> list[str]:
    """Returns what each run started from, with a digest where one name stands for several contents."""
    keys = [(run.config["model"]["encoder"], weights_name(run)) for run in runs]
    digests = [at(run.weights, "digest") for run in runs]
    contents: dict[tuple[str, str], set[str]] = {}
    for key, digest in zip(keys, digests, strict=True):
        if isinstance(digest, str):
            contents.setdefault(key, set()).add(digest)
    return [
        f"{key[1]} {digest[:8]}" if isinstance(digest, str) and len(contents[key]) > 1 else key[1]
        for key, digest in zip(keys, digests, strict=True)
    ]


def weights_name(run: Run) -> str:
    """Returns what the model started from: 'scratch', 'ImageNet', the name of a file, or 'run NAME' of another run."""
    started_from = at(run.config, "pretrained", "run")
    if started_from:
        return f"run {_last_part(started_from)}"
    path = at(run.config, "pretrained", "path")
    if not path:
        return SCRATCH
    name = at(run.weights, "source", "name")
    if not isinstance(name, str):
        return f"weights {_last_part(path)}"
    official = {file.name for file in OFFICIAL_FILES.values()}
    if name in official or "imagenet" in name.lower():
        return "ImageNet"
    return f"weights {name}"


def _last_part(path: Any) -> str:
    return str(path).rstrip("/").rsplit("/", 1)[-1]


def model_name(run: Run) -> str:
    """Names the network, such as 'DeepLabV3+ ResNet-50', and what makes it another than the published one."""
    model = run.config["model"]
    decoder, encoder = DECODERS.get(model["decoder"]), ENCODERS.get(model["encoder"])
    # Of another version's its name.
    titles = (decoder.title if decoder else model["decoder"], encoder.title if encoder else model["encoder"])
    parts = [" ".join(titles)]
    if model.get("width", 1) != 1:
        parts.append(f"width {model['width']:g}")
    if model.get("encoder_depths"):
        parts.append("depths " + "-".join(map(str, model["encoder_depths"])))
    # Of a decoder that this version does not know the stride is always told.
    usual = decoder.output_strides[0] if decoder else None
    if model.get("output_stride", usual) != usual:
        parts.append(f"stride {model['output_stride']}")
    if model.get("num_classes", 1) != 1:
        parts.append(f"{counted(model['num_classes'], 'class')}")
    if model.get("head", NO_HEAD) != NO_HEAD:
        parts.append(phrase("model.head", model["head"]))
    return ", ".join(parts)


def paper_model(run: Run) -> PaperModel | None:
    """Returns the paper's model with this network, layer for layer; None on other data than the paper's."""
    model = run.config["model"]
    if (
        run.info.name != DATA_SET
        or at(run.config, "data", "source") == "synthetic"
        or model.get("width", 1) != 1
        or model.get("encoder_depths")
        or model.get("num_classes", 1) != 1
        or model.get("output_stride", 16) != 16
        or model.get("head", NO_HEAD) != NO_HEAD
    ):
        return None
    names = model["decoder"], model["encoder"]
    return next((paper for paper in PAPER_MODELS if (paper.decoder, paper.encoder) == names), None)


def phrase(field: str, value: Any) -> str:
    """Returns a field's value in the words of its declaration; the weights' name stands for itself."""
    if field == WEIGHTS:
        return str(value)
    if value is None:
        return f"{field} unknown"
    declared = config_fields().get(field)
    return declared.phrased(value) if declared else f"{field} {value}"


def differing_fields(all_fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the fields that do not have the same value everywhere, the network's own left out."""
    names = sorted({name for fields in all_fields for name in fields if _affects(name) != "model"})
    return [name for name in names if len({json.dumps(fields.get(name)) for fields in all_fields}) > 1]


def _told_fields(all_fields: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], list[str]]:
    """Returns by network the fields that its names tell, weights first.

    Those that differ within the network, and those that differ between networks and do not have here what most
    configurations have; a field of which each model of the paper has its own only where it differs within.
    """
    networks: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for fields in all_fields:
        networks.setdefault(_network(fields), []).append(fields)
    per_model = {name for name, item in config_fields().items() if item.is_per_model}
    differing = [name for name in differing_fields(all_fields) if name not in per_model]
    usual = {name: _usual(name, all_fields) for name in differing}

    def told(members: list[Mapping[str, Any]]) -> list[str]:
        unusual = {
            name
            for name in differing
            if name == WEIGHTS or any(json.dumps(fields.get(name)) != usual[name] for fields in members)
        }
        return sorted({*unusual, *differing_fields(members)}, key=lambda name: (name != WEIGHTS, name))

    return {network: told(members) for network, members in networks.items()}


def _usual(name: str, all_fields: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns what more than half of the configurations have in a field, as JSON."""
    ((value, number),) = collections.Counter(
        json.dumps(fields.get(name)) for fields in all_fields
    ).most_common(1)
    return value if 2 * number > len(all_fields) else None


def _network(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    names = sorted(name for name, item in config_fields().items() if item.affects == "model")
    return tuple(json.dumps(fields.get(name)) for name in names)


def _order(configuration: Configuration) -> tuple[Any, ...]:
    paper = configuration.paper
    place = PAPER_MODELS.index(paper) if paper else len(PAPER_MODELS)
    model = "" if paper else configuration.model
    return *sweep_order(configuration.runs), place, model, -len(configuration.finished)
