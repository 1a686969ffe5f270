"""Preparation of `predict`: which images can be read, which are finished, and where the others resume."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.open_source import open_source, refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.resolution import of_objective
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.inference.output.journal import altered_outputs, job_key, read_journal
from nucseg_jax.inference.output.mask_file import is_small
from nucseg_jax.inference.output.output_files import OutputFiles, output_stem
from nucseg_jax.inference.output.probability_store import intact_bands
from nucseg_jax.inference.tiling.job import Job, plan_job, resumed, without_background
from nucseg_jax.inference.tiling.stain import with_stain
from nucseg_jax.inference.tiling.stream import Failed
from nucseg_jax.ops.stain_normalization.target import StainTarget


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """Settings that the outputs depend on, beside model and image.

    Attributes:
      microns_per_px: of all images; None = as each file states.
      tile_px: on the model's grid; None = the side of the patches that the run was trained on.
      overlap_px: on the model's grid; None = 64, or half a tile where that is less.
      rule: the definition of a nucleus; None = the run's own.
      mpp_from_objective: where a file states an objective and no microns per pixel, 10 / magnification is assumed.
      views: 1, or 8 = the mean over the symmetries of each tile.
      adapts: batch norm's statistics are estimated on the images first.
    """

    microns_per_px: float | None
    tile_px: int | None
    overlap_px: int | None
    rule: NucleusRule | None
    mpp_from_objective: bool = False
    views: int = 1
    adapts: bool = False


@dataclasses.dataclass(frozen=True)
class Grid:
    """The model's grid, and the tiles on it.

    Attributes:
      microns_per_px: of the patches that the model was trained on.
      tile_px, overlap_px: of the tiles.
    """

    microns_per_px: float
    tile_px: int
    overlap_px: int


@dataclasses.dataclass(frozen=True)
class Look:
    """Facts about an image that are known before it is computed.

    Attributes:
      key: of its job.
      tiles: all that cover it.
      is_small: see `mask_file.is_small`.
    """

    key: str
    tiles: int
    is_small: bool


def look_at(
    paths: Iterable[pathlib.Path], settings: PredictSettings, grid: Grid, about: dict[str, Any]
) -> tuple[dict[pathlib.Path, Look], list[Failed]]:
    """Reads all headers before anything is computed; returns what there is to do, and what cannot be read."""
    looks: dict[pathlib.Path, Look] = {}
    failures: list[Failed] = []
    unknown: list[pathlib.Path] = []
    objectives: list[tuple[pathlib.Path, float]] = []
    series: dict[str, pathlib.Path] = {}
    for path in paths:
        try:
            _check_name(path)
            job = _open(path, settings, grid)
            with contextlib.closing(job.view.source):
                its_series = job.view.source.series
                if its_series is not None and series.setdefault(its_series, path) != path:
                    print(f"{path}: of the same slide as {series[its_series].name}", flush=True)
                    continue
                size = job.view.source.height, job.view.source.width
                with refused(path):
                    looks[path] = Look(job_key(path, about), job.is_computed.size, is_small(*size))
                power = job.view.source.objective_power
                if job.resolution.is_unknown and power is not None:
                    objectives.append((path, power))
                elif job.resolution.is_unknown:
                    unknown.append(path)
        except RefusedImage as error:
            failures.append(Failed(path, error))
    if unknown:
        print(
            f"{counted(len(unknown), 'image')} with no plausible resolution in the metadata ({unknown[0].name}"
            f"{', ...' if len(unknown) > 1 else ''}): assumed to be {grid.microns_per_px:g} microns per pixel;"
            " if that is wrong, so are their nuclei: rerun with --mpp=MICRONS",
            flush=True,
        )
    if objectives:
        path, power = objectives[0]
        usual = of_objective(power).microns_per_px
        print(
            f"{counted(len(objectives), 'image')} with an objective and no microns per pixel ({path.name}: {power:g}x,"
            f" usually {usual:g}{'; ...' if len(objectives) > 1 else ''}): assumed to be"
            f" {grid.microns_per_px:g} microns per pixel; for 10 / magnification, rerun with --mpp_from_objective",
            flush=True,
        )
    return looks, failures


def _check_name(path: pathlib.Path) -> None:
    """Raises RefusedImage for a name that is not UTF-8: no table, outline or message could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RefusedImage(f"{str(path)!a}: the name is not UTF-8", advice="rename it") from None


def finished_before(looks: dict[pathlib.Path, Look], out: pathlib.Path) -> dict[pathlib.Path, dict[str, Any]]:
    """Returns the summaries of images that an earlier start finished and whose outputs are unaltered."""
    finished = {}
    for path, look in looks.items():
        files = OutputFiles(out, output_stem(path))
        journal = read_journal(files.journal, look.key)
        if journal.summary is None:
            continue
        altered = altered_outputs(files.finished(is_small=look.is_small), journal.outputs)
        if altered:
            print(f"{path}: predicted again, because {', '.join(altered)} changed or vanished", flush=True)
            continue
        finished[path] = journal.summary
        take_warnings(path)
    if finished:
        print(f"{counted(len(finished), 'image')} finished before", flush=True)
    return finished


def open_jobs(
    looks: dict[pathlib.Path, Look],
    out: pathlib.Path,
    settings: PredictSettings,
    grid: Grid,
    stain: StainTarget | None = None,
) -> Iterator[Job | Failed]:
    """Opens images one by one, to be normalised to `stain`; one that was begun resumes after its unaltered bands."""
    for path, look in looks.items():
        try:
            job = _open(path, settings, grid, skip_background=True, stain=stain)
        except RefusedImage as error:
            yield Failed(path, error)
            continue
        files = OutputFiles(out, output_stem(path))
        journal = read_journal(files.journal, look.key)
        is_begun = journal.summary is None and journal.ends
        yield resumed(job, intact_bands(files.unfinished, journal.ends, journal.bands) if is_begun else ())


def all_jobs(
    paths: Iterable[pathlib.Path], settings: PredictSettings, grid: Grid, stain: StainTarget | None
) -> Iterator[Job | Failed]:
    """Opens every image, one by one, each closed before the next."""
    for path in paths:
        try:
            job = _open(path, settings, grid, skip_background=True, stain=stain)
        except RefusedImage as error:
            yield Failed(path, error)
            continue
        with contextlib.closing(job.view.source):
            yield job


def _open(
    path: pathlib.Path,
    settings: PredictSettings,
    grid: Grid,
    *,
    skip_background: bool = False,
    stain: StainTarget | None = None,
) -> Job:
    source = open_source(path)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        with refused(path):
            job = plan_job(
                path,
                source,
                microns_per_px=settings.microns_per_px,
                model_microns_per_px=grid.microns_per_px,
                tile_px=grid.tile_px,
                overlap_px=grid.overlap_px,
                mpp_from_objective=settings.mpp_from_objective,
            )
            if skip_background:
                job = without_background(job)
            job = with_stain(job, stain)
        stack.pop_all()
    return job
