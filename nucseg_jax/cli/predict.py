"""`predict`: a trained model on a user's own images and slides; masks, outlines, tables and a summary."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nucseg_jax.cli.predict_inputs import find_inputs
from nucseg_jax.cli.predict_looks import Grid, PredictSettings, all_jobs, finished_before, look_at, open_jobs
from nucseg_jax.cli.stain_target import stain_text
from nucseg_jax.cli.views import views_text
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import is_full_disk, remove_half_written, write_json
from nucseg_jax.core.lock import file_lock
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.resolution import check_resolution
from nucseg_jax.inference.output.output_files import LOCK, SUMMARY, OutputFiles, output_stem
from nucseg_jax.inference.output.progress import TileProgress
from nucseg_jax.inference.output.write_images import write_images
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.predictor import Predictor
from nucseg_jax.inference.tiling.stream import Begin, Event, Failed, Tile, ahead, infer, read_events
from nucseg_jax.load import load_run
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.ops.stain_normalization.stored_target import target_to_json
from nucseg_jax.run import Run

__all__ = ["PredictSettings", "predict", "predict_files"]

# Of tiles between reading and inference, and between inference and writing.
_BATCHES_AHEAD = 2


def predict(
    model: str | pathlib.Path,
    patterns: Sequence[str],
    out: pathlib.Path,
    settings: PredictSettings,
    *,
    batch_size: int,
    threshold: float | None = None,
) -> int:
    """Writes the nuclei of every image that can be read, and lists the others.

    The same command again resumes after an interruption, and skips finished images.

    Args:
      model: the run or model, see `load_run`.
      patterns: files, folders or globs.
      out: the folder to write.
      settings: tiles, scale, nuclei.
      batch_size: tiles in one batch.
      threshold: in place of the rule's; None = its own.

    Returns:
      The count of images that could not be read.

    Raises:
      UserError: no input, two of one name, a folder that cannot be written, no trained run, settings out of range.
    """
    # Before the run is loaded, which takes seconds.
    paths = find_inputs(patterns, out)
    run = load_run(model)
    if threshold is not None:
        rule = settings.rule or run.rule
        settings = dataclasses.replace(settings, rule=dataclasses.replace(rule, threshold=threshold))
    return predict_files(run, paths, out, settings, batch_size=batch_size)


def predict_files(
    run: Run, paths: Sequence[pathlib.Path], out: pathlib.Path, settings: PredictSettings, *, batch_size: int
) -> int:
    """Predicts images from `find_inputs` with an open run."""
    tile_px, overlap_px = run.tiles(settings.tile_px, settings.overlap_px)
    grid = Grid(run.info.microns_per_px, tile_px, overlap_px)
    rule = settings.rule or run.rule
    settings = dataclasses.replace(settings, tile_px=tile_px, overlap_px=overlap_px, rule=rule)
    if settings.microns_per_px is not None:
        check_resolution(settings.microns_per_px, model_microns_per_px=grid.microns_per_px)
    if settings.adapts:
        print(f"estimating batch-norm statistics on {counted(len(paths), 'image')}", flush=True)
        run = run.adapted_to(all_jobs(paths, settings, grid, run.stain), image_count=len(paths))
    about: dict[str, Any] = {
        "checkpoint_step": run.checkpoint_step,
        "model_digest": run.digest(),
        "settings": dataclasses.asdict(settings),
        "foreground_rule": FOREGROUND_RULE,
        "batch_norm_statistics": "of these images" if settings.adapts else "moving",
        **({} if run.stain is None else {"stain_target": target_to_json(run.stain)}),
        **data_facts(run.info, num_classes=run.experiment.config.model.num_classes),
    }
    predictor = run.predictor(tile_px=tile_px, batch_size=batch_size, views=settings.views)
    if run.licence:
        print(
            f"model {run.name}, trained on {run.info.name} at {run.info.microns_per_px:g} microns per pixel; licence of"
            f" the weights: {run.licence}"
        )
    print(
        f"{run.name}, checkpoint of step {run.checkpoint_step:,}, on {counted(len(paths), 'image')}"
        f"{views_text(settings.views)}{stain_text(run.stain)}",
        flush=True,
    )
    with _claimed(out):
        looks, failures = look_at(paths, settings, grid, about)
        finished = finished_before(looks, out)
        begun = {path: look for path, look in looks.items() if path not in finished}
        progress = TileProgress(sum(look.tiles for look in begun.values()))
        for failure in failures:
            progress.line(str(failure.error))
        entries = list(finished.values())
        with _events(open_jobs(begun, out, settings, grid, run.stain), predictor, progress) as events:

            def outputs(job: Job) -> tuple[OutputFiles, str]:
                return OutputFiles(out, output_stem(job.path)), looks[job.path].key

            for result in write_images(
                events,
                outputs,
                rule=rule,
                channels=predictor.channels,
                map_channels=predictor.map_channels,
                info=run.info,
            ):
                if isinstance(result, Failed):
                    failures.append(result)
                    progress.line(str(result.error))
                else:
                    entries.append(result)
                    progress.line(_line(result))
                    for note in result["notes"]:
                        progress.line(f"{result['input']}: {note}")
        progress.close()
        summary = {
            "run": run.name,
            **({"licence": run.licence} if run.licence else {}),
            **about,
            "images": sorted(entries, key=lambda entry: entry["input"]),
            "failed": [
                _failed_entry(failure) for failure in sorted(failures, key=lambda failure: failure.path)
            ],
        }
        write_json(out / SUMMARY, summary)
    nuclei = sum(entry["nuclei"] for entry in entries)
    print(f"\n{counted(nuclei, 'nucleus')} in {counted(len(entries), 'image')}, written to {out}")
    if failures:
        print(f"{counted(len(failures), 'image')} could not be read; the reasons are in {out / SUMMARY}")
    return len(failures)


def data_facts(info: DatasetInfo, *, num_classes: int) -> dict[str, Any]:
    """Returns facts of a model's data set that its outputs depend on, as JSON values.

    The classes' order is that of labels, so that they are a list.
    """
    classes = [{"name": each.name, "color": list(each.color)} for each in info.classes]
    return {"model_microns_per_px": info.microns_per_px, "classes": classes if num_classes > 1 else []}


@contextlib.contextmanager
def _events(
    jobs: Iterable[Job | Failed], predictor: Predictor, progress: TileProgress
) -> Iterator[Iterator[Event]]:
    """Reads and infers in threads; they end with the block, also after an error in it.

    A thread that is left in the devices' code when Python ends aborts the process.
    """
    tiles = _BATCHES_AHEAD * predictor.batch_size
    with (
        contextlib.closing(ahead(read_events(jobs), tiles)) as read,
        contextlib.closing(ahead(infer(read, predictor), tiles)) as inferred,
    ):
        yield _counted(inferred, progress)


def _failed_entry(failure: Failed) -> dict[str, Any]:
    warnings = take_warnings(failure.path)
    entry: dict[str, Any] = {"input": str(failure.path), "reason": str(failure.error)}
    return {**entry, "notes": warnings} if warnings else entry


def _counted(events: Iterable[Event], progress: TileProgress) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Tile):
            progress.computed()
        elif isinstance(event, Begin):
            is_computed = event.job.is_computed
            progress.not_needed(is_computed.size - int(is_computed[event.job.first_row :].sum()))
        yield event


def _line(entry: dict[str, Any]) -> str:
    skipped = entry["tiles_without_tissue"]
    return (
        f"{entry['input']}: {entry['height_px']:,} x {entry['width_px']:,} px at {entry['microns_per_px']:.4g} microns"
        f" ({entry['resolution_from']}), {counted(entry['tiles'] - skipped, 'tile')}"
        + (f" and {skipped:,} without tissue" if skipped else "")
        + f", {counted(entry['nuclei'], 'nucleus')}"
    )


@contextlib.contextmanager
def _claimed(out: pathlib.Path) -> Iterator[None]:
    """Makes the folder and locks it; removes half-written files of a killed process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        busy = f"another process is predicting into {out}"
        with file_lock(out / LOCK, busy=busy, advice="wait for it, or choose another --out"):
            remove_half_written(out)
            yield
    except Exception as error:
        if is_full_disk(error):
            raise UserError(
                f"{out} cannot be written: the disk is full: no space, no inode or no quota is left",
                advice="free some, and rerun the same command to resume",
            ) from None
        if isinstance(error, OSError):
            raise UserError(f"{out} cannot be written: {error}", advice="choose another --out") from None
        raise
