"""`predict`: a trained run on a user's own images and slides; masks, outlines, tables and a summary."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nucseg_jax.commands.predict_inputs import find_inputs
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.lock import held
from nucseg_jax.inference.job import Job, plan_job, resumed, without_background
from nucseg_jax.inference.journal import job_key, read_journal
from nucseg_jax.inference.mask_file import is_small
from nucseg_jax.inference.nuclei import NucleusRule
from nucseg_jax.inference.open_source import open_source, refused, stem
from nucseg_jax.inference.output_files import OutputFiles
from nucseg_jax.inference.progress import TileProgress
from nucseg_jax.inference.resolution import MODEL_MICRONS_PER_PX, UNKNOWN, check_resolution
from nucseg_jax.inference.source import RefusedImage
from nucseg_jax.inference.stream import Begin, Event, Failed, Tile, ahead, infer, read_events
from nucseg_jax.inference.tiles import check_tiles
from nucseg_jax.inference.write_images import write_images
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.run import Run, load_run

SUMMARY = "summary.json"
_LOCK = ".lock"
# Of tiles between reading and inference, and between inference and writing.
_BATCHES_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """What the outputs depend on, beside model and image.

    Attributes:
      microns_per_px: of all images; None = as each file says.
      tile_px, overlap_px: on the model's grid.
      rule: what counts as a nucleus.
    """

    microns_per_px: float | None
    tile_px: int
    overlap_px: int
    rule: NucleusRule


def predict(
    workdir: pathlib.Path,
    patterns: Sequence[str],
    out: pathlib.Path,
    settings: PredictSettings,
    *,
    batch_size: int,
) -> int:
    """Writes the nuclei of every image that can be read, and lists the others.

    The same command again goes on where it was stopped, and leaves finished images alone.

    Args:
      workdir: the run.
      patterns: files, folders or globs.
      out: the folder to write.
      settings: tiles, scale, nuclei.
      batch_size: tiles that the devices take at once.

    Returns:
      How many images could not be read.

    Raises:
      UserError: no input, two of one name, a folder that cannot be written, no trained run, settings out of range.
    """
    # Before the run is loaded, which takes seconds.
    paths = find_inputs(patterns, out)
    return predict_files(load_run(workdir), paths, out, settings, batch_size=batch_size)


def predict_files(
    run: Run, paths: Sequence[pathlib.Path], out: pathlib.Path, settings: PredictSettings, *, batch_size: int
) -> int:
    """`predict` with a run that is open, on images from `find_inputs`."""
    check_tiles(settings.tile_px, settings.overlap_px, run.experiment.model.encoder.output_stride)
    if settings.microns_per_px is not None:
        check_resolution(settings.microns_per_px)
    about: dict[str, Any] = {
        "checkpoint_step": run.checkpoint_step,
        "model_digest": run.digest(),
        "settings": dataclasses.asdict(settings),
        "foreground_rule": FOREGROUND_RULE,
        "batch_norm_statistics": "moving",
    }
    predictor = run.predictor(tile_px=settings.tile_px, batch_size=batch_size)
    print(f"{run.path}, checkpoint of step {run.checkpoint_step:,}, on {len(paths):,} images", flush=True)
    with _claimed(out):
        looks, failures = look_at(paths, settings, about)
        finished = finished_before(looks, out)
        begun = {path: look for path, look in looks.items() if path not in finished}
        progress = TileProgress(sum(look.tiles for look in begun.values()))
        for failure in failures:
            progress.line(str(failure.error))
        ahead_tiles = _BATCHES_AHEAD * predictor.batch_size
        events = ahead(read_events(open_jobs(begun, out, settings)), ahead_tiles)
        events = _counted(ahead(infer(events, predictor), ahead_tiles), progress)

        def outputs(job: Job) -> tuple[OutputFiles, str]:
            return OutputFiles(out, stem(job.path)), looks[job.path].key

        entries = list(finished.values())
        for result in write_images(events, outputs, rule=settings.rule, channels=predictor.channels):
            if isinstance(result, Failed):
                failures.append(result)
                progress.line(str(result.error))
            else:
                entries.append(result)
                progress.line(_line(result))
        progress.close()
        summary = {
            "run": str(run.path),
            **about,
            "images": sorted(entries, key=lambda entry: entry["input"]),
            "failed": [
                {"input": str(failure.path), "reason": str(failure.error)}
                for failure in sorted(failures, key=lambda failure: failure.path)
            ],
        }
        write_json(out / SUMMARY, summary)
    print(
        f"\n{sum(entry['nuclei'] for entry in entries):,} nuclei in {len(entries):,} images, written to {out}"
    )
    if failures:
        print(f"{len(failures):,} images could not be read; {out / SUMMARY} says why")
    return len(failures)


@dataclasses.dataclass(frozen=True)
class Look:
    """What an image's header says.

    Attributes:
      key: of its job.
      tiles: all that cover it.
      is_small: see `mask_file.is_small`.
    """

    key: str
    tiles: int
    is_small: bool


def look_at(
    paths: Iterable[pathlib.Path], settings: PredictSettings, about: dict[str, Any]
) -> tuple[dict[pathlib.Path, Look], list[Failed]]:
    """Reads all headers before anything is computed: what there is to do, and what cannot be read."""
    looks: dict[pathlib.Path, Look] = {}
    failures: list[Failed] = []
    unknown = []
    series: dict[str, pathlib.Path] = {}
    for path in paths:
        try:
            _check_name(path)
            job = _open(path, settings)
            with contextlib.closing(job.view.source):
                its_series = job.view.source.series
                if its_series is not None and series.setdefault(its_series, path) != path:
                    print(f"{path}: of the same slide as {series[its_series].name}", flush=True)
                    continue
                size = job.view.source.height, job.view.source.width
                with refused(path):
                    looks[path] = Look(job_key(path, about), job.wanted.size, is_small(*size))
                if job.resolution is UNKNOWN:
                    unknown.append(path)
        except RefusedImage as error:
            failures.append(Failed(path, error))
    if unknown:
        print(
            f"{len(unknown):,} images say no resolution that can be true ({unknown[0].name}"
            f"{', ...' if len(unknown) > 1 else ''}): taken as {MODEL_MICRONS_PER_PX} microns per pixel;"
            " if that is wrong, so are their nuclei: say --mpp=MICRONS",
            flush=True,
        )
    return looks, failures


def _check_name(path: pathlib.Path) -> None:
    """Raises RefusedImage for a name that is no text, which no table, outline or message could carry."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RefusedImage(f"{str(path)!a}: the name is not UTF-8", advice="rename it") from None


def finished_before(looks: dict[pathlib.Path, Look], out: pathlib.Path) -> dict[pathlib.Path, dict[str, Any]]:
    """The summaries of images that an earlier start has finished, and whose outputs are all there."""
    finished = {}
    for path, look in looks.items():
        files = OutputFiles(out, stem(path))
        summary = read_journal(files.journal, look.key).summary
        if summary is not None and all(file.exists() for file in files.finished(is_small=look.is_small)):
            finished[path] = summary
    if finished:
        print(f"{len(finished):,} images were finished before", flush=True)
    return finished


def open_jobs(
    looks: dict[pathlib.Path, Look], out: pathlib.Path, settings: PredictSettings
) -> Iterator[Job | Failed]:
    """Opens images as they are wanted; one that was begun before goes on from there."""
    for path, look in looks.items():
        try:
            job = _open(path, settings, skip_background=True)
        except RefusedImage as error:
            yield Failed(path, error)
            continue
        files = OutputFiles(out, stem(path))
        journal = read_journal(files.journal, look.key)
        is_begun = journal.summary is None and files.unfinished.is_dir()
        yield resumed(job, journal.ends if is_begun else ())


def _open(path: pathlib.Path, settings: PredictSettings, *, skip_background: bool = False) -> Job:
    source = open_source(path)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        with refused(path):
            job = plan_job(
                path,
                source,
                microns_per_px=settings.microns_per_px,
                tile_px=settings.tile_px,
                overlap_px=settings.overlap_px,
            )
            if skip_background:
                job = without_background(job)
        stack.pop_all()
    return job


def _counted(events: Iterable[Event], progress: TileProgress) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Tile):
            progress.computed()
        elif isinstance(event, Begin):
            wanted = event.job.wanted
            progress.not_needed(wanted.size - int(wanted[event.job.first_row :].sum()))
        yield event


def _line(entry: dict[str, Any]) -> str:
    skipped = entry["tiles_without_tissue"]
    return (
        f"{entry['input']}: {entry['height_px']:,} x {entry['width_px']:,} px at {entry['microns_per_px']:.4g} microns"
        f" ({entry['resolution_from']}), {entry['tiles'] - skipped:,} tiles"
        + (f" and {skipped:,} without tissue" if skipped else "")
        + f", {entry['nuclei']:,} nuclei"
    )


@contextlib.contextmanager
def _claimed(out: pathlib.Path) -> Iterator[None]:
    """Makes the folder and holds it against other processes; takes away what a killed one left half written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(out / _LOCK))
            except BlockingIOError:
                raise UserError(
                    f"another process is predicting into {out}", advice="wait for it, or choose another --out"
                ) from None
            for part in out.glob(".*.part"):
                part.unlink()
            yield
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}", advice="choose another --out") from None
