"""A file of foreign weights to a checkpoint of this project: open, match, read, write."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.pretrained.checkpoint import (
    digest_of,
    read_checkpoint,
    write_checkpoint,
)
from nucseg_jax.pretrained.hints import hint, other_encoder
from nucseg_jax.pretrained.match import compare, fault_text, framework_of, refuse_framework
from nucseg_jax.pretrained.normalization import true_variance
from nucseg_jax.pretrained.relatives import relatives_of
from nucseg_jax.pretrained.report import DECODER_AND_HEAD, REPORT, Report, Source, read_report
from nucseg_jax.pretrained.safetensors_file import published_config
from nucseg_jax.pretrained.source import open_weights, sha256
from nucseg_jax.pretrained.target import Target, as_tree
from nucseg_jax.pretrained.values import read_values


def convert(target: Target, source: pathlib.Path, out: pathlib.Path, *, url: str = "") -> Report:
    """Converts a file and writes `out`; writes nothing if anything is wrong.

    Args:
      target: the encoder.
      source: the file; see `source.KINDS`.
      out: the folder to be written; must not exist, or be empty.
      url: where the file was downloaded from, for the report.

    Returns:
      The report, as it was written.

    Raises:
      UserError: the file cannot be read, is damaged, is of another network, or has values that no trained network
        has; or `out` cannot be written.
    """
    digest_of_source = sha256(source) if source.is_file() else ""
    with open_weights(source) as file:
        if framework_of(file) != target.framework:
            refuse_framework(file, source, target, other_encoder(file, target))
        notes = _require_same_network(source, file.kind, target)
        match = compare(file, target)
        if not match.is_exact:
            raise UserError(
                fault_text(match, source, target),
                expected=f"exactly the values of {target.encoder}, the whole or as far as the paper's models use"
                " it, with or without the classifier",
                advice=hint(file, match, target),
            )
        values, conversions = read_values(match.pairs, source)
        stays = _layers_beyond(target, values)
        if match.defaults:
            values |= _default_constants(target)
            notes += ("the file has no Normalization layer: ImageNet's mean and deviation are taken",)
        elif "normalization/variance" in values:
            variance, done = true_variance(values["normalization/variance"], file.config)
            values["normalization/variance"] = variance
            conversions += (done,) if done else ()
    report = Report(
        encoder=target.encoder,
        extent=match.extent,
        preprocessing=_preprocessing_in_force(target, values),
        source=Source(
            source.name, source.stat().st_size, digest_of_source, file.kind, target.framework, url=url
        ),
        values=sum(value.size for value in values.values()),
        digest=digest_of(values),
        mapped=tuple(
            {"ours": name, "theirs": match.pairs[name].name, "shape": list(values[name].shape)}
            for name in match.pairs
        ),
        not_used=match.not_used,
        stays_at_initialisation=(*stays, DECODER_AND_HEAD),
        conversions=conversions,
        notes=notes,
    )
    write_checkpoint(out, as_tree(values, target.collections), report)
    return report


def converted_before(
    encoder: str, out: pathlib.Path, *, source: pathlib.Path | None = None, url: str = ""
) -> Report | None:
    """The report of what lies in `out` already, if it is what was asked for; None if `out` is free.

    Args:
      encoder: the encoder's name.
      out: the folder.
      source: the file that it should come from, or
      url: the address.

    Raises:
      UserError: something else lies there, or the same but damaged.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not out.is_dir():
        raise UserError(
            f"{out} is a file.",
            expected="a folder that does not exist yet",
            advice="choose another --out",
        )
    if not (out / REPORT).exists():
        raise UserError(
            f"{out} is not empty, and not what `convert` writes.",
            expected="a folder that does not exist yet",
            advice="choose another --out",
        )
    report = read_report(out)
    is_same_source = (
        report.source.url == url if source is None or url else report.source.sha256 == sha256(source)
    )
    if report.encoder != encoder or not is_same_source:
        raise UserError(
            f"{out} holds another conversion: {report.encoder} from {report.source.name}"
            f" (SHA-256 {report.source.sha256[:12]}...).",
            expected="a folder that does not exist yet",
            advice=f"choose another --out, or remove {out}",
        )
    read_checkpoint(out)
    return report


def _require_same_network(source: pathlib.Path, kind: str, target: Target) -> tuple[str, ...]:
    """Asks the config.json beside a file of timm's whether it is this network, with this preprocessing.

    Returns:
      Notes: what had to be taken on trust.

    Raises:
      UserError: it is another.
    """
    if target.framework != "torch":
        return ()
    relatives = relatives_of(target.encoder)
    config = published_config(source) if kind == "safetensors" else {}
    if not config:
        return (relatives.on_trust,)
    architecture = config["architecture"]
    if architecture not in relatives.architectures:
        raise UserError(
            f"{source} is timm's {architecture}, by the config.json beside it, which is another network than"
            f" {target.encoder} even where names and shapes are the same.",
            expected=f"one of {', '.join(relatives.architectures)}",
            advice=f"take model.safetensors of {relatives.example} or another {relatives.architectures[0]}",
        )
    expected = target.preprocessing
    given = config.get("pretrained_cfg", {})
    for field, numbers in (("mean", expected.mean), ("std", expected.standard_deviation)):
        if field in given and not np.allclose(given[field], numbers, rtol=0, atol=1e-4):
            raise UserError(
                f"{source} was trained with {field} {tuple(given[field])}, by the config.json beside it;"
                f" {target.encoder} brings images to {field} {numbers}.",
                expected=f"weights trained with {field} {numbers}",
                advice=f"take another checkpoint of timm, such as {relatives.example}",
            )
    return ()


def _layers_beyond(target: Target, values: Mapping[str, np.ndarray]) -> list[str]:
    """Layers of the whole encoder without values."""
    constants = {name for name, collection in target.collections.items() if collection == "constants"}
    beyond = (name for name in target.shapes["whole"] if name not in values and name not in constants)
    return list(dict.fromkeys(name.split("/")[0] for name in beyond))


def _default_constants(target: Target) -> dict[str, np.ndarray]:
    defaults = target.preprocessing
    return {
        "normalization/mean": np.asarray(defaults.mean, np.float32),
        "normalization/variance": np.square(np.asarray(defaults.standard_deviation, np.float32)),
        "normalization/count": np.zeros((), np.float32),
    }


def _preprocessing_in_force(target: Target, values: Mapping[str, np.ndarray]) -> Preprocessing:
    if "normalization/mean" not in values:
        return target.preprocessing

    def triple(value: np.ndarray) -> tuple[float, float, float]:
        red, green, blue = (float(number) for number in value)
        return red, green, blue

    deviation = np.sqrt(values["normalization/variance"])
    return dataclasses.replace(
        target.preprocessing, mean=triple(values["normalization/mean"]), standard_deviation=triple(deviation)
    )
