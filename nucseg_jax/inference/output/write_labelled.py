"""The files of an image whose nuclei are given as labels: those of `write_images`, without a model."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import shapely

from nucseg_jax.core.counted import counted
from nucseg_jax.data.labels.annotation import Annotation
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.images.open_source import refused
from nucseg_jax.images.reader_warnings import take_warnings
from nucseg_jax.images.resolution import Resolution
from nucseg_jax.images.source import RefusedImage, Source
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS
from nucseg_jax.inference.nuclei.geojson import Color
from nucseg_jax.inference.nuclei.labelled import BAND_PX, draw_rows, outlines_of, windows
from nucseg_jax.inference.nuclei.measure import COLUMNS, Table, measure_nuclei
from nucseg_jax.inference.output.journal import Journal, output_digests, write_journal
from nucseg_jax.inference.output.mask_file import is_small, write_png_mask, write_tiff_mask
from nucseg_jax.inference.output.nuclei_files import open_nuclei_files
from nucseg_jax.inference.output.output_files import OutputFiles
from nucseg_jax.inference.output.overlay import Overlay, save_overlay
from nucseg_jax.inference.output.probability_store import ProbabilityStore
from nucseg_jax.inference.output.remarks import appearance, remarks

# Labels state no probability.
LABELLED_COLUMNS = {name: dtype for name, dtype in COLUMNS.items() if name != "mean_probability"}
_CERTAIN = 255
_LARGEST_NUMBER = int(np.iinfo(np.uint32).max)
_NUCLEI_AT_ONCE = 20_000


class Labelled(NamedTuple):
    """An image and its nuclei.

    Attributes:
      image, label: the files.
      source: the image, open.
      resolution: of the image.
      annotation: the nuclei.
    """

    image: pathlib.Path
    label: pathlib.Path
    source: Source
    resolution: Resolution
    annotation: Annotation


def class_name(value: str | int | None) -> str:
    """Returns what the class of an annotation is called in tables.

    >>> class_name(3), class_name("Tumor"), class_name(None)
    ('class 3', 'Tumor', 'Nucleus')
    """
    return ANY_CLASS if value is None else f"class {value}" if isinstance(value, int) else value


def write_labelled(
    labelled: Labelled, files: OutputFiles, key: str, colors: Mapping[str, Color], *, has_classes: bool
) -> dict[str, Any]:
    """Writes the outputs of an image, and returns its entry in summary.json.

    Args:
      labelled: the image and its nuclei.
      files: where the outputs go.
      key: for its journal.
      colors: of all classes, by `class_name`.
      has_classes: nuclei are counted by class.

    Raises:
      RefusedImage: the image cannot be read, or a number of a nucleus is too high.
      OSError: an output cannot be written.
    """
    source, microns = labelled.source, labelled.resolution.microns_per_px
    numbers = _numbers(labelled)
    files.journal.unlink(missing_ok=True)
    store = ProbabilityStore.create(
        files.unfinished,
        source.height,
        source.width,
        microns_per_px=microns,
        class_names=(),
        rule=NucleusRule(),
    )
    overlay = Overlay(source.height, source.width, colors)
    for top in range(0, source.height, BAND_PX):
        rows = min(BAND_PX, source.height - top)
        drawn = draw_rows(labelled.annotation, top, rows, source.width)
        with refused(labelled.image):
            overlay.add_image(source.read(top, 0, rows, source.width))
        store.nucleus[top : top + rows] = numbers[drawn]
        store.write(top, Band(level=np.where(drawn > 0, np.uint8(_CERTAIN), np.uint8(0))))
    table, outlines = _measured(labelled, numbers, overlay)
    with open_nuclei_files(
        files.stem, files.geojson, files.csv, files.parquet, colors, LABELLED_COLUMNS
    ) as nuclei_files:
        for begin in range(0, len(outlines), _NUCLEI_AT_ONCE):
            part = slice(begin, begin + _NUCLEI_AT_ONCE)
            nuclei_files.add({name: column[part] for name, column in table.items()}, outlines[part])
    small = is_small(source.height, source.width)
    if small:
        write_png_mask(files.png_mask, store.nucleus, microns)
    else:
        write_tiff_mask(files.tiff_mask, store.nucleus, microns, store.group)
    seen = appearance(overlay.image())
    save_overlay(files.overlay, overlay.picture())
    store.publish(files.probability)
    outputs = files.finished(is_small=small)
    summary = {
        **_about(labelled),
        **_counts(table, list(colors) if has_classes else []),
        "files": [path.name for path in outputs],
        # A count of nuclei is not this package's to doubt.
        "notes": [*remarks(seen, nuclei=1), *_notes(labelled, outlines)],
    }
    write_journal(files.journal, Journal(key, summary=summary, outputs=output_digests(outputs)))
    return summary


def _numbers(labelled: Labelled) -> np.ndarray:
    """Returns the number in tables of each number of the annotation, uint32 [K + 1]: the id, where it has ids."""
    ids = labelled.annotation.ids
    count = labelled.annotation.nucleus_count
    if ids is None:
        return np.arange(count + 1, dtype=np.uint32)
    if count and int(ids[-1]) > _LARGEST_NUMBER:
        raise RefusedImage(
            f"{labelled.label}: the highest id is {int(ids[-1])}",
            expected=f"at most {_LARGEST_NUMBER:,}",
            advice="number the nuclei from 1",
        )
    return np.concatenate([[0], ids]).astype(np.uint32)


def _measured(
    labelled: Labelled, numbers: np.ndarray, overlay: Overlay
) -> tuple[Table, list[shapely.Geometry]]:
    """Returns table and outlines of all nuclei, by rising number, and draws them."""
    source = labelled.source
    names: np.ndarray = np.array([ANY_CLASS, *map(class_name, labelled.annotation.classes)], object)
    tables: list[Table] = []
    outlines: list[shapely.Geometry] = []
    for window in windows(labelled.annotation, source.height, source.width):
        with refused(labelled.image):
            image = source.read(window.top, 0, len(window.nuclei), source.width)
        table = measure_nuclei(
            window.nuclei,
            first=1,
            count=len(window.numbers),
            top=window.top,
            band=Band(level=np.zeros(window.nuclei.shape, np.uint8)),
            class_names=(),
            image=image,
            microns_per_px=labelled.resolution.microns_per_px,
        )
        table |= {"nucleus": numbers[window.numbers], "class": names[window.numbers]}
        # A row of background around it: only the image's own edge is no outline.
        above, below = int(window.top > 0), int(window.top + len(window.nuclei) < source.height)
        framed = np.pad(window.nuclei, ((above, below), (0, 0)))
        overlay.add_nuclei(framed, table, first=1, top=window.top - above)
        tables.append({name: table[name] for name in LABELLED_COLUMNS})
        outlines += outlines_of(window)
    if not tables:
        return {name: np.zeros(0, dtype) for name, dtype in LABELLED_COLUMNS.items()}, []
    whole = {name: np.concatenate([each[name] for each in tables]) for name in LABELLED_COLUMNS}
    order = np.argsort(whole["nucleus"])
    return {name: column[order] for name, column in whole.items()}, [outlines[each] for each in order]


def _about(labelled: Labelled) -> dict[str, Any]:
    source, microns = labelled.source, labelled.resolution.microns_per_px
    return {
        "input": str(labelled.image),
        "label": str(labelled.label),
        "height_px": source.height,
        "width_px": source.width,
        "microns_per_px": microns,
        "resolution_from": labelled.resolution.found_in,
        "objective_power": source.objective_power,
        "area_mm2": round(source.height * source.width * microns**2 / 1e6, 6),
    }


def _counts(table: Table, classes: Sequence[str]) -> dict[str, Any]:
    total, area = len(table["nucleus"]), float(table["area_um2"].sum())
    highest = int(table["nucleus"].max(initial=0))
    named = table["class"].tolist()
    return {
        "nuclei": total,
        "nuclei_area_mm2": round(area / 1e6, 6),
        "mean_nucleus_area_um2": round(area / total, 3) if total else None,
        **({"highest_nucleus": highest} if highest > total else {}),
        **({"nuclei_by_class": {name: named.count(name) for name in classes}} if classes else {}),
    }


def _notes(labelled: Labelled, outlines: Sequence[shapely.Geometry]) -> Iterator[str]:
    yield from labelled.annotation.notes
    parted = sum(shapely.get_type_id(outline) != shapely.GeometryType.POLYGON for outline in outlines)
    if parted:
        yield f"{counted(parted, 'nucleus')} of several pieces, measured and outlined together"
    hidden = labelled.annotation.nucleus_count - len(outlines)
    if hidden:
        yield f"{counted(hidden, 'nucleus')} without a pixel of the image, left out"
    yield from labelled.source.notes()
    yield from take_warnings(labelled.image)
