"""`export`: the best model of a run as one file for another program, compared with the model before it is left there.

Beside OUT lie `OUT.json` (names and colours of the channels, the scale that images must have), `OUT.md` (the model
card) and `OUT.sha256` (for `sha256sum --check`).
"""

import dataclasses
import pathlib

from nucseg_jax.cli.export_card import ProgramFacts, program_card
from nucseg_jax.cli.export_writers import WRITERS, Export, Written, compared_in_words, images_of
from nucseg_jax.cli.exported_run import example_images, facts_of
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import atomic_write, json_text, write_text
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.inference.export import export_facts
from nucseg_jax.inference.export_torch import IMAGE, output_names
from nucseg_jax.load import load_run
from nucseg_jax.model_folder.facts import first_line


def export(
    source: str | pathlib.Path,
    out: pathlib.Path,
    kind: str = "stablehlo",
    *,
    licence: str | None = None,
    notes: str = "",
    authors: tuple[str, ...] = (),
) -> None:
    """Writes the file, loads it by its own runtime, and compares it with the model at two sizes and batch sizes.

    Where they differ nothing is written.

    Args:
      source: the run or model, see `load_run`.
      out: the file.
      kind: a key of `WRITERS`.
      licence: of the weights; None = that of the model folder, else of the data set.
      notes: free text for the card.
      authors: of the weights, for bioimage.io.

    Raises:
      UserError: no trained run, or a file that cannot be written.
      RuntimeError: the file computes something else than the model.
    """
    run = load_run(source)
    facts = facts_of(run)
    facts = dataclasses.replace(
        facts, licence=facts.licence if licence is None else licence, notes=notes or facts.notes
    )
    stride = run.experiment.model.encoder.output_stride
    channels = export_facts(
        images_of(kind, stride),
        run.info,
        num_classes=run.experiment.config.model.num_classes,
        head=run.experiment.head,
        rule=run.rule,
        stain=run.stain,
    )
    if kind != "stablehlo":
        channels["tensors"] = {"input": IMAGE, "outputs": list(output_names(run.experiment.head))}
    images, images_name = example_images(run, most=1)
    height, width = (size // stride * stride for size in images.shape[1:3])
    job = Export(run, facts, channels, images[:, :height, :width], images_name, authors)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as part:
            written = WRITERS[kind](job, part)
            digest = bytes_digest(part.read_bytes())
            about = ProgramFacts(
                out.name,
                written.title,
                written.rows,
                written.load_with,
                digest["sha256"],
                compared_in_words(written),
            )
            card = program_card(run, facts, about)
        write_text(beside(out, "json"), json_text({**channels, **digest}))
        write_text(beside(out, "md"), card)
        write_text(beside(out, "sha256"), f"{digest['sha256']}  {out.name}\n")
    except OSError as error:
        raise UserError(
            f"{out} cannot be written: {reason_of(error)}", advice="choose another --out"
        ) from None
    print(_report(job, out, written, digest["bytes"]))


def beside(out: pathlib.Path, ending: str) -> pathlib.Path:
    """Returns the path of a file beside an export: 'model.onnx.md'."""
    return out.with_name(f"{out.name}.{ending}")


def _report(job: Export, out: pathlib.Path, written: Written, size: int) -> str:
    stain = ""
    if job.run.stain is not None:
        stain = (
            f"it does not normalise stains, and expects images that are: {job.run.stain.method}, to the target in"
            f" {beside(out, 'json').name}\n"
        )
    computes = ""
    if written.title != "a StableHLO program" and job.run.experiment.config.train.dtype != "float32":
        computes = f"computes in float32; the run computes in {job.run.experiment.config.train.dtype}\n"
    facts, card = beside(out, "json").name, beside(out, "md").name
    return (
        f"{out}: {size / 1e6:.1f} MB, {written.title}; licence of the weights: {first_line(job.facts.licence)}\n"
        f"takes {job.channels['images']} at {job.run.info.microns_per_px:g} microns per pixel, gives float32"
        f" probabilities; names and scale are in {facts}, the model card is {card}\n"
        f"{computes}{stain}loaded and run by {written.runtime} on {job.images_name} and on noise in"
        f" {written.seconds:.1f} s; differs from the model by {written.difference:.1e}\n"
        f"load it with:\n{written.load_with}"
    )
