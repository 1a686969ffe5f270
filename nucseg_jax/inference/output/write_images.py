"""The files of images, from the events of `stream.infer`; goes on where an earlier start was stopped."""

import contextlib
import errno
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import zarr

from nucseg_jax.core.errors import reason_of
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.heads.decoding.band import Band, to_band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.open_source import refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.source import RefusedImage
from nucseg_jax.inference.nuclei.geojson import class_colors
from nucseg_jax.inference.nuclei.measure import COLUMNS, COLUMNS_WITH_CLASS_PROBABILITY, measure_nuclei
from nucseg_jax.inference.nuclei.nucleus_stream import NucleusStream
from nucseg_jax.inference.nuclei.outlines import outlines
from nucseg_jax.inference.output.journal import Journal, output_digests, write_journal
from nucseg_jax.inference.output.mask_file import is_small, write_png_mask, write_tiff_mask
from nucseg_jax.inference.output.nuclei_files import NucleiFiles, open_nuclei_files
from nucseg_jax.inference.output.output_files import OutputFiles
from nucseg_jax.inference.output.overlay import Overlay, save_overlay
from nucseg_jax.inference.output.probability_store import ProbabilityStore, band_digest
from nucseg_jax.inference.output.remarks import NOT_NORMALIZED, appearance, remarks
from nucseg_jax.inference.tiling.bands import bands_of
from nucseg_jax.inference.tiling.job import Job
from nucseg_jax.inference.tiling.stream import Begin, End, Event, Failed

# Errors of one image's names: too long or not allowed on this file system, or a folder or link stands in their place.
_OF_ITS_NAMES = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP),
        *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY),
    )
)


def write_images(
    events: Iterable[Event],
    outputs: Callable[[Job], tuple[OutputFiles, str]],
    *,
    rule: NucleusRule,
    channels: int,
    map_channels: int = 0,
    info: DatasetInfo,
) -> Iterator[dict[str, Any] | Failed]:
    """Writes the outputs of each image and gives its entry in summary.json, or why there is none.

    Args:
      events: after inference.
      outputs: where an image's files go, and the key for its journal.
      rule: what counts as a nucleus.
      channels: F + M, foreground classes of the model and maps of its instance head.
      map_channels: M.
      info: of the data set that it was trained on: names and colours of classes.
    """
    events = iter(events)
    for event in events:
        if isinstance(event, Failed):
            yield event
            continue
        assert isinstance(event, Begin), "an image is read to its end"
        job = event.job
        files, key = outputs(job)
        its_events = _of_one_image(events)
        try:
            yield _write_image(
                job,
                its_events,
                files,
                key,
                rule=rule,
                channels=channels,
                map_channels=map_channels,
                info=info,
            )
        except RefusedImage as error:
            _give_up(its_events, files)
            yield Failed(job.path, error)
        except OSError as error:
            if error.errno not in _OF_ITS_NAMES:
                raise
            _give_up(its_events, files)
            reason = f"{job.path}: its outputs cannot be written: {reason_of(error)}"
            yield Failed(job.path, RefusedImage(reason, advice="rename the image, or what is in their place"))
        finally:
            job.view.source.close()


def _give_up(events: Iterable[Event], files: OutputFiles) -> None:
    """Takes the rest of an image's events, and away what was begun of it."""
    for _ in events:
        pass
    with contextlib.suppress(OSError):
        files.journal.unlink(missing_ok=True)
    shutil.rmtree(files.unfinished, ignore_errors=True)


def _of_one_image(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if isinstance(event, End | Failed):
            return


def _write_image(
    job: Job,
    events: Iterable[Event],
    files: OutputFiles,
    key: str,
    *,
    rule: NucleusRule,
    channels: int,
    map_channels: int,
    info: DatasetInfo,
) -> dict[str, Any]:
    source, microns = job.view.source, job.resolution.microns_per_px
    has_classes = channels - map_channels > 1
    columns = COLUMNS_WITH_CLASS_PROBABILITY if has_classes and map_channels else COLUMNS
    if job.rows_done:
        store = ProbabilityStore.reopen(files.unfinished)
    else:
        # Before the store that it tells of: it may be the journal of another job, which would go on from an empty one.
        files.journal.unlink(missing_ok=True)
        store = ProbabilityStore.create(
            files.unfinished,
            source.height,
            source.width,
            microns_per_px=microns,
            class_names=info.class_names if has_classes else (),
            rule=rule,
            map_channels=map_channels,
        )
    colors = class_colors(info)
    with open_nuclei_files(
        files.stem, files.geojson, files.csv, files.parquet, colors, columns
    ) as nuclei_files:
        nuclei = _Nuclei(job, rule, store.nucleus, nuclei_files, info)
        ends, digests = list(job.ends), []
        for top, end in itertools.pairwise((0, *job.ends)):
            band = store.read(top, end)
            digests.append(band_digest(band))
            nuclei.find(top, band)
        for top, values in bands_of(events, job, channels):
            if len(values):
                band = to_band(values, rule.threshold, map_channels)
                store.write(top, band)
                ends.append(top + len(values))
                digests.append(band_digest(band))
                write_journal(files.journal, Journal(key, ends, digests))
                nuclei.find(top, band)
    small = is_small(source.height, source.width)
    if small:
        write_png_mask(files.png_mask, store.nucleus, microns)
    else:
        write_tiff_mask(files.tiff_mask, store.nucleus, microns, store.group)
    seen = job.seen or appearance(nuclei.overlay.image())
    save_overlay(files.overlay, nuclei.overlay.picture())
    store.publish(files.probability)
    outputs = files.finished(is_small=small)
    summary = {
        **_about(job),
        **nuclei.summary(by_class=has_classes),
        "files": [path.name for path in outputs],
        "notes": [
            *remarks(seen, nuclei=nuclei.count),
            *([] if job.stain is None or job.stain.is_usable else [NOT_NORMALIZED]),
            *job.view.source.notes(),
            *take_warnings(job.path),
        ],
    }
    write_journal(files.journal, Journal(key, ends, digests, summary, output_digests(outputs)))
    return summary


class _Nuclei:
    """Finds the nuclei of an image band by band, writes them, draws them and counts them."""

    def __init__(
        self, job: Job, rule: NucleusRule, numbers: zarr.Array, files: NucleiFiles, info: DatasetInfo
    ):
        self._job, self._numbers, self._files = job, numbers, files
        self._class_names = info.class_names
        source, self._microns = job.view.source, job.resolution.microns_per_px
        self._stream = NucleusStream(rule, microns_per_px=self._microns, height=source.height)
        self.overlay = Overlay(source.height, source.width, class_colors(info))
        self._count_by_class: Counter[str] = Counter()
        self._area_um2 = 0.0

    def find(self, top: int, band: Band) -> None:
        """Takes the next band."""
        with refused(self._job.path):
            image = self._job.read_computed(top, len(band.level))
        self.overlay.add_image(image)
        found = self._stream.push(band, image)
        if len(found.settled):
            self._numbers[found.top : found.top + len(found.settled)] = found.settled
        if not found.new:
            return
        table = measure_nuclei(
            found.nuclei,
            first=found.first,
            count=found.new,
            top=found.top,
            band=found.band,
            class_names=self._class_names,
            image=found.image,
            microns_per_px=self._microns,
        )
        self._files.add(table, outlines(found.nuclei, first=found.first, count=found.new, top=found.top))
        self.overlay.add_nuclei(found.nuclei, table, first=found.first, top=found.top)
        self._count_by_class.update(table["class"].tolist())
        self._area_um2 += float(table["area_um2"].sum())

    @property
    def count(self) -> int:
        """Number of nuclei found."""
        return self._count_by_class.total()

    def summary(self, *, by_class: bool) -> dict[str, Any]:
        """Its part of summary.json."""
        total = self.count
        summary: dict[str, Any] = {
            "nuclei": total,
            "nuclei_area_mm2": round(self._area_um2 / 1e6, 6),
            "mean_nucleus_area_um2": round(self._area_um2 / total, 3) if total else None,
        }
        if by_class:
            summary["nuclei_by_class"] = {name: self._count_by_class[name] for name in self._class_names}
        return summary


def _about(job: Job) -> dict[str, Any]:
    source, microns = job.view.source, job.resolution.microns_per_px
    return {
        "input": str(job.path),
        "height_px": source.height,
        "width_px": source.width,
        "microns_per_px": microns,
        "resolution_from": job.resolution.found_in,
        "objective_power": source.objective_power,
        "tiles": int(job.is_computed.size),
        "tiles_without_tissue": int(np.count_nonzero(~job.is_computed)),
        "area_mm2": round(source.height * source.width * microns**2 / 1e6, 6),
    }
