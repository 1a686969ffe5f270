"""A converted checkpoint as an encoder's variables."""

import dataclasses
import pathlib

from nucseg_jax.core.arrays import Variables
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.models.interfaces import Encoder
from nucseg_jax.models.preprocessing import Preprocessing
from nucseg_jax.pretrained.checkpoint import read_checkpoint, require_checkpoint
from nucseg_jax.pretrained.match import shortened
from nucseg_jax.pretrained.report import Report
from nucseg_jax.pretrained.target import FRAMEWORK_TITLES, as_tree, flat_shapes, flatten, stages_of


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The values of a checkpoint for an encoder.

    Attributes:
      variables: every variable of the encoder, float32 NumPy arrays in its own structure.
      summary: one line: what was loaded from where, and what was not.
      report: of the conversion.
    """

    variables: Variables
    summary: str
    report: Report


def load_encoder(path: pathlib.Path, encoder_name: str, encoder: Encoder) -> Loaded:
    """Loads the variables that an encoder builds.

    Args:
      path: a folder that `convert` wrote.
      encoder_name: the encoder's key in `ENCODERS`.
      encoder: the module itself.

    Raises:
      UserError: the folder is none of `convert`'s, damaged, of a newer format, of another encoder or another
        preprocessing, or does not reach as far as the encoder, or the encoder is not of the published size.
    """
    report = require_checkpoint(path)
    if report.encoder != encoder_name:
        raise UserError(
            f"{path} holds {report.encoder}, and the model's encoder is {encoder_name}.",
            expected=f"a checkpoint of {encoder_name}",
            advice=f"{PROGRAM} convert --encoder={encoder_name} --source=FILE|download --out=DIR and"
            f" pretrained.path=DIR, or model.encoder={report.encoder}",
        )
    expected = flat_shapes(encoder)
    has_constants = any(collection == "constants" for collection, _ in expected.values())
    if not _treat_alike(report.preprocessing, encoder.preprocessing, numbers=not has_constants):
        raise UserError(
            f"The weights in {path} expect {report.preprocessing}, and {encoder_name} gives them"
            f" {encoder.preprocessing}.",
            expected="the same preprocessing",
            advice="convert the source again with this version",
        )
    tree, _ = read_checkpoint(path)
    stored = flatten(tree)
    missing = [name for name in expected if name not in stored]
    if missing:
        layers = list(dict.fromkeys(name.split("/")[0] for name in missing))
        raise UserError(
            f"{path} holds {encoder_name} only as far as the paper's models use it ({report.extent}); this model"
            f" needs more: {shortened(layers)}.",
            expected="a checkpoint of the whole encoder",
            advice=f"{PROGRAM} convert --encoder={encoder_name} --source=download --out=DIR",
        )
    mis_shaped = [name for name, (_, shape) in expected.items() if stored[name].shape != shape]
    if mis_shaped:
        shapes = [f"{name} {stored[name].shape}, not {expected[name][1]}" for name in mis_shaped]
        raise UserError(
            f"{path} holds {encoder_name} as published; the model's has other sizes: {shortened(shapes)}.",
            expected="the published sizes",
            advice="set model.width=1.0 and model.encoder_depths=(), or pretrained.path='' to train from scratch",
        )
    chosen = {name: stored[name] for name in expected}
    variables = as_tree(chosen, {name: collection for name, (collection, _) in expected.items()})
    count = sum(value.size for value in chosen.values())
    beyond = sorted({name.split("/")[0] for name in stored if name not in expected})
    rest = stages_of(beyond, encoder.clone(extent="whole"))
    not_built = f"{shortened(rest)} not loaded, since this model does not build it; " if rest else ""
    source = report.source
    return Loaded(
        variables=variables,
        summary=f"{encoder_name}, {counted(count, 'value')} from {source.name}"
        f" ({FRAMEWORK_TITLES[source.framework]}, SHA-256 {source.sha256[:12]});"
        f" {not_built}decoder and head from scratch",
        report=report,
    )


def _treat_alike(stored: Preprocessing, own: Preprocessing, *, numbers: bool) -> bool:
    """Returns True for equal preprocessings; mean and deviation count only where they are no constants."""
    if not numbers:
        own = dataclasses.replace(own, mean=stored.mean, standard_deviation=stored.standard_deviation)
    return stored == own
