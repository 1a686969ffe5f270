"""`measure`: tables and outlines of nuclei that another program found, as `predict` writes them."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from nucseg_jax.cli.formats import writing
from nucseg_jax.cli.measure_inputs import find_labels, matched
from nucseg_jax.cli.predict_inputs import find_inputs
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.dataset_info import PALETTE
from nucseg_jax.data.labels.annotation import read_annotation
from nucseg_jax.images.open_source import open_source
from nucseg_jax.images.resolution import COARSEST, FINEST, Resolution
from nucseg_jax.images.source import RefusedImage, Source
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS, ANY_COLOR
from nucseg_jax.inference.output.journal import altered_outputs, job_key, read_journal
from nucseg_jax.inference.output.mask_file import is_small
from nucseg_jax.inference.output.output_files import SUMMARY, OutputFiles, output_stem
from nucseg_jax.inference.output.progress import printable
from nucseg_jax.inference.output.write_labelled import Labelled, class_name, write_labelled

Pair = tuple[pathlib.Path, pathlib.Path]
# Raised when the same labels give other outputs, so that files of before are made again.
_VERSION = 1


def measure(
    labels: Sequence[str], inputs: Sequence[str], out: pathlib.Path, *, microns_per_px: float | None
) -> int:
    """Writes the nuclei of every image whose label can be read, and lists the others.

    The same command again leaves finished images alone.

    Args:
      labels, inputs: files, folders or globs.
      out: the folder to write.
      microns_per_px: of all images; None = as each file states.

    Returns:
      The count of images that could not be measured.

    Raises:
      UserError: images and labels that do not match, no scale, or a folder that cannot be written.
    """
    if microns_per_px is not None and not FINEST <= microns_per_px <= COARSEST:
        raise UserError(f"--mpp is {microns_per_px:g}", expected=f"{FINEST:g} to {COARSEST:g} microns")
    pairs = matched(find_inputs(inputs, out), find_labels(labels, out))
    with writing(out):
        failed: dict[Pair, RefusedImage] = {}
        classes = _look_at(pairs, microns_per_px, failed)
        colors = _colors(classes)
        entries: list[dict[str, Any]] = []
        for pair in pairs:
            if pair in failed:
                continue
            try:
                entry, is_new = _entry(pair, out, microns_per_px, colors, has_classes=bool(classes))
            except RefusedImage as error:
                failed[pair] = error
                continue
            entries.append(entry)
            if is_new:
                _print_entry(entry)
        for fault in failed.values():
            print(printable(str(fault)), flush=True)
        facts = [{"name": name, "color": list(color)} for name, color in colors.items()] if classes else []
        summary = {
            "run": "labels",
            "classes": facts,
            "images": sorted(entries, key=lambda entry: entry["input"]),
            "failed": [
                {"input": str(image), "label": str(label), "reason": str(fault)}
                for (image, label), fault in failed.items()
            ],
        }
        write_json(out / SUMMARY, summary)
    nuclei = sum(entry["nuclei"] for entry in entries)
    print(f"\n{counted(nuclei, 'nucleus')} in {counted(len(entries), 'image')}, written to {out}")
    if failed:
        print(f"{counted(len(failed), 'image')} not measured; the reasons are in {out / SUMMARY}")
    return len(failed)


def _look_at(
    pairs: Sequence[Pair], microns_per_px: float | None, failed: dict[Pair, RefusedImage]
) -> list[str]:
    """Reads all labels before anything is written; returns the classes that occur, [] where no nucleus has one.

    Args:
      pairs: images and labels.
      microns_per_px: of all images.
      failed: takes what cannot be used.

    Raises:
      UserError: an image has no scale.
    """
    names: dict[str, None] = {}
    without_scale = []
    for pair in pairs:
        try:
            with _opened(pair, microns_per_px) as labelled:
                if labelled is None:
                    without_scale.append(pair[0])
                    continue
                names |= dict.fromkeys(map(class_name, labelled.annotation.classes))
        except RefusedImage as error:
            failed[pair] = error
    if without_scale:
        raise UserError(
            f"{counted(len(without_scale), 'image')} with no plausible resolution in the metadata"
            f" ({without_scale[0].name}{', ...' if len(without_scale) > 1 else ''})",
            expected="microns per pixel, which all measures are in",
            advice="add --mpp=MICRONS",
        )
    return sorted(names) if set(names) - {ANY_CLASS} else []


def _colors(classes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Returns a colour for each class in the order of names, or for nuclei without classes."""
    named = [name for name in classes if name != ANY_CLASS]
    own = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(named)}
    return own | ({ANY_CLASS: ANY_COLOR} if ANY_CLASS in classes or not classes else {})


@contextlib.contextmanager
def _opened(pair: Pair, microns_per_px: float | None) -> Iterator[Labelled | None]:
    """Opens an image and reads its label; None where nothing states the scale.

    Raises:
      RefusedImage: one of them cannot be used.
    """
    image, label = pair
    source = open_source(image)
    with contextlib.closing(source):
        annotation = read_annotation(label, kind="ids", image_height=source.height, image_width=source.width)
        resolution = _resolution(source, annotation.microns_per_px, microns_per_px)
        yield None if resolution is None else Labelled(image, label, source, resolution, annotation)


def _resolution(source: Source, of_label: float | None, given: float | None) -> Resolution | None:
    if given is not None:
        return Resolution(given, "--mpp")
    if source.resolution is not None:
        return source.resolution
    return None if of_label is None else Resolution(of_label, "the label file")


def _entry(
    pair: Pair,
    out: pathlib.Path,
    microns_per_px: float | None,
    colors: dict[str, tuple[int, int, int]],
    *,
    has_classes: bool,
) -> tuple[dict[str, Any], bool]:
    """Returns the entry of an image, and True if it was written now."""
    image, label = pair
    files = OutputFiles(out, output_stem(image))
    settings = {"version": _VERSION, "mpp": microns_per_px, "colors": [[*each] for each in colors.items()]}
    key = job_key(image, {**settings, "label": job_key(label, {})})
    with _opened(pair, microns_per_px) as labelled:
        if labelled is None:
            raise RefusedImage(f"{image}: changed while it was read")
        known = read_journal(files.journal, key)
        outputs = files.finished(is_small=is_small(labelled.source.height, labelled.source.width))
        if known.summary is not None and not altered_outputs(outputs, known.outputs):
            return known.summary, False
        return write_labelled(labelled, files, key, colors, has_classes=has_classes), True


def _print_entry(entry: dict[str, Any]) -> None:
    line = (
        f"{entry['input']}: {entry['height_px']:,} x {entry['width_px']:,} px at {entry['microns_per_px']:.4g} microns"
        f" ({entry['resolution_from']}), {counted(entry['nuclei'], 'nucleus')}"
    )
    for text in (line, *(f"{entry['label']}: {note}" for note in entry["notes"])):
        print(printable(text), flush=True)
