"""`export --format=folder`: the best model of a run as a small folder that `load_run` and `predict --model` read."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nucseg_jax.cli.exported_run import example_images, test_scores
from nucseg_jax.cli.model_origin import model_origin
from nucseg_jax.cli.seen_patches import seen_by_run
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import atomic_folder
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.load import load_run, open_model_folder
from nucseg_jax.model_folder.card import card_text
from nucseg_jax.model_folder.facts import ModelFacts, StoredDtype, first_line
from nucseg_jax.model_folder.folder import is_model_folder, require_replaceable, write_model_folder
from nucseg_jax.model_folder.stored_weights import named_arrays, stored_arrays
from nucseg_jax.ops.levels import any_nucleus
from nucseg_jax.run import Run
from nucseg_jax.run_folder.folder import RunFolder

# Mean change of a probability; rounding to float16 costs a tenth of it or less.
_LARGEST_MEAN = 5e-3


class Difference(NamedTuple):
    """Distance of the written model from the run.

    Attributes:
      images: what both were computed on, in words.
      largest, mean: of the absolute differences of the outputs: probabilities, and maps of an instance head.
      flipped, pixels: how many pixels are on another side of the threshold, of how many.
    """

    images: str
    largest: float
    mean: float
    flipped: int
    pixels: int


def export_folder(
    workdir: pathlib.Path,
    out: pathlib.Path,
    *,
    dtype: StoredDtype,
    card: pathlib.Path | None = None,
    licence: str | None = None,
    notes: str = "",
) -> None:
    """Writes the folder, opens it again, and compares it with the run on images of its test split, or on a painted one.

    The folder appears whole or not at all; an earlier model folder in its place is replaced.

    Args:
      workdir: the run.
      out: the folder.
      dtype: of the stored weights.
      card: a Markdown file, the model card; None = one is made from the facts.
      licence: of the weights; None = that of the data set.
      notes: free text.

    Raises:
      UserError: no trained run, another thing than a model in `out`, a card that cannot be read, a place that cannot be
        written, or a model that rounding changes too much.
    """
    out = pathlib.Path(os.path.abspath(out))
    require_replaceable(out)
    text = None if card is None else read_card(card)
    if is_model_folder(workdir):
        raise UserError(
            f"{workdir} is a model folder",
            expected="a run folder with --format=folder",
            advice="copy the folder, or export the run again",
        )
    run = load_run(workdir)
    try:
        with atomic_folder(out) as part:
            written = write_run(
                run, part, name=out.name, dtype=dtype, card=text, licence=licence, notes=notes
            )
    except OSError as error:
        raise UserError(
            f"{out} cannot be written: {reason_of(error)}", advice="choose another --out"
        ) from None
    size = sum(file.stat().st_size for file in out.iterdir())
    print("\n".join([*report(run, written, out, size, is_own_card=card is None), usage(out)]))


class Written(NamedTuple):
    """A model folder that was written of a run.

    Attributes:
      facts: of the model.
      difference: from the run.
    """

    facts: ModelFacts
    difference: Difference


def write_run(
    run: Run,
    folder: pathlib.Path,
    *,
    name: str,
    dtype: StoredDtype,
    card: str | None,
    licence: str | None,
    notes: str,
) -> Written:
    """Writes a run's model into an empty folder, opens it again and compares the two.

    Args:
      run: of a run folder.
      folder: an empty one.
      name: of the model for people.
      dtype, licence, notes: as in `export_folder`.
      card: the text of the model card; None = one is made from the facts.

    Raises:
      UserError: weights that are not finite, a run that was altered, or a model that rounding changes too much.
      OSError: it cannot be written.
    """
    arrays, kept = stored_arrays(run.variables, dtype)
    facts = ModelFacts.of_config(
        run.experiment.config,
        info=run.info,
        rule=run.rule,
        stain=run.stain,
        checkpoint_step=run.checkpoint_step,
        stored_dtype=dtype,
        kept_float32=kept,
        scores=test_scores(run),
        licence=run.info.licence if licence is None else licence,
        notes=notes,
    )
    text = card_text(facts, name) if card is None else card
    write_model_folder(folder, facts, arrays, seen_by_run(RunFolder(run.path)), text, model_origin(run))
    difference = _compare(run, open_model_folder(folder, name), arrays)
    _require_close(difference)
    return Written(facts, difference)


def read_card(path: pathlib.Path) -> str:
    """Reads a model card.

    Raises:
      UserError: it cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
    except (OSError, ValueError) as error:
        raise UserError(
            f"--card={path} cannot be read: {reason_of(error)}", expected="a Markdown file in UTF-8"
        ) from None
    return text


def _compare(run: Run, written: Run, arrays: Mapping[str, np.ndarray]) -> Difference:
    """Computes the outputs of both on the same images.

    Args:
      run: the run.
      written: the model folder.
      arrays: that were written.

    Raises:
      RuntimeError: the folder holds another model than was written.
    """
    for name in ("info", "rule", "checkpoint_step"):
        if getattr(run, name) != getattr(written, name):
            raise RuntimeError(f"{name} of the written model differs from the run's")
    if dataclasses.astuple(run.experiment.config.model) != dataclasses.astuple(
        written.experiment.config.model
    ):
        raise RuntimeError("the written model differs from the run's")
    found = named_arrays(written.variables)
    if found.keys() != arrays.keys() or any(
        not np.array_equal(found[name], array.astype(np.float32)) for name, array in arrays.items()
    ):
        raise RuntimeError("the written weights differ from those that were read")
    images, source = example_images(run)
    before, after = (_outputs(each, images) for each in (run, written))
    maps = len(run.experiment.head.maps)
    masks = [
        any_nucleus(values[..., : values.shape[-1] - maps]) > run.rule.threshold for values in (before, after)
    ]
    change = np.abs(before - after)
    flipped = int((masks[0] != masks[1]).sum())
    return Difference(source, float(change.max()), float(change.mean()), flipped, masks[0].size)


def _outputs(run: Run, images: np.ndarray) -> np.ndarray:
    predictor = run.predictor(tile_px=images.shape[1], batch_size=1)
    return np.concatenate([np.asarray(predictor.start([image]))[:1] for image in images])


def _require_close(difference: Difference) -> None:
    if not difference.mean < _LARGEST_MEAN:
        raise UserError(
            f"float16 weights change the outputs by {difference.mean:.1e} on average, {difference.largest:.1e} at most",
            expected=f"less than {_LARGEST_MEAN:g} on average",
            advice="export with --dtype=float32",
        )


def report(run: Run, written: Written, out: pathlib.Path, size_bytes: int, *, is_own_card: bool) -> list[str]:
    """Returns lines on what was written.

    Args:
      run: the run.
      written: of it.
      out: where it is now.
      size_bytes: of all of it.
      is_own_card: the card was made from the facts.
    """
    facts, difference = written
    kept = f", {counted(len(facts.kept_float32), 'array')} of them float32" if facts.kept_float32 else ""
    lines = [
        f"{out}: {size_bytes / 1e6:.1f} MB, weights {facts.stored_dtype}{kept}; licence: {first_line(facts.licence)}",
        f"opened again and compared with {run.name} on {difference.images}: largest difference of an output"
        f" {difference.largest:.1e}, mean {difference.mean:.1e}; {difference.flipped:,} of {difference.pixels:,} px on"
        " another side of the threshold",
    ]
    if not facts.scores:
        lines.append("no test scores in it: the run has none of these weights and batch-norm statistics")
    if is_own_card:
        lines.append(
            "README.md was made from these facts; complete it and write the model again with --card=FILE"
        )
    return lines


def usage(out: pathlib.Path) -> str:
    """Returns the line that tells how a written model is used."""
    return f"use it with: {PROGRAM} predict --model={out} --inputs=IMAGES --out=DIR"
