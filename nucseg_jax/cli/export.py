"""`export`: the best model of a run as one StableHLO program that only needs JAX."""

import pathlib
import time

import jax
import numpy as np

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write, json_text
from nucseg_jax.inference.export import PLATFORMS, ExportedModel, export_facts, export_model
from nucseg_jax.load import load_run
from nucseg_jax.run import Run

# The program computes the same by XLA's own operations where the model here may take another form of them.
_TOLERANCE = 1e-3


def export(source: str | pathlib.Path, out: pathlib.Path) -> None:
    """Writes the program, loads it again, and compares it with the model on noise.

    Beside it `OUT.json` holds names and colours of the channels, and the scale that images must have.

    Args:
      source: the run or model, see `load_run`.
      out: the file.

    Raises:
      UserError: no trained run, or a file that cannot be written.
    """
    run = load_run(source)
    exported = export_model(
        run.experiment.model, run.variables, output_stride=run.experiment.model.encoder.output_stride
    )
    facts = export_facts(
        exported,
        run.info,
        num_classes=run.experiment.config.model.num_classes,
        head=run.experiment.head,
        rule=run.rule,
        stain=run.stain,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as part:
            part.write_bytes(exported.data)
        with atomic_write(facts_path(out)) as part:
            part.write_text(json_text(facts), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}", advice="choose another --out") from None

    tile_px, _ = run.tiles()
    image = np.random.default_rng(0).integers(0, 256, (1, tile_px, tile_px, 3), np.uint8)
    probability, seconds = _load_and_call(out, image)
    predictor = run.predictor(tile_px=tile_px, batch_size=1)
    difference = float(np.abs(np.asarray(predictor.start(image))[:1] - probability).max())
    if not difference < _TOLERANCE:
        raise RuntimeError(f"the exported program differs from the model by {difference:.1e}")
    print(_report(run, exported, out, seconds, difference))


def facts_path(out: pathlib.Path) -> pathlib.Path:
    """Returns the path of the names beside a program: 'model.stablehlo.json'."""
    return out.with_name(f"{out.name}.json")


def _load_and_call(path: pathlib.Path, image: np.ndarray) -> tuple[np.ndarray, float]:
    """Loads the file as its users do; returns probabilities, and seconds until they are ready, with compilation."""
    begin = time.perf_counter()
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    probability = np.asarray(jax.jit(program.call)(image))
    return probability, time.perf_counter() - begin


def _report(run: Run, exported: ExportedModel, out: pathlib.Path, seconds: float, difference: float) -> str:
    stain = ""
    if run.stain is not None:
        stain = (
            f"it does not normalise stains, and expects images that are: {run.stain.method}, to the target in"
            f" {facts_path(out).name}\n"
        )
    return (
        f"{out}: {len(exported.data) / 1e6:.1f} MB, for {', '.join(PLATFORMS)}\n"
        f"takes uint8 RGB {exported.shape} at {run.info.microns_per_px:g} microns per pixel, gives float32"
        f" probabilities; names and scale are in {facts_path(out).name}\n"
        f"{stain}loaded, compiled and called on {run.tiles()[0]} px in {seconds:.1f} s; differs from the model by"
        f" {difference:.1e}\n"
        "load it with: jax.export.deserialize(bytearray(open(FILE, 'rb').read())).call(image)"
    )
