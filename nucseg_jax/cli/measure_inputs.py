"""`measure`: the label files that globs name, each matched with its image by name."""

import os
import pathlib
from collections.abc import Sequence

from nucseg_jax.cli.predict_inputs import find_files
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.folder.layout import key_of, label_ending, label_stem, listed
from nucseg_jax.images.open_source import stem

# What may follow an image's name in that of its label: 'a.labels.ome.tif', 'a_cp_masks.png'.
_SEPARATORS = "._- "


def find_labels(patterns: Sequence[str], out: pathlib.Path) -> list[pathlib.Path]:
    """Finds the label files that files, folders and globs name, each once, in order.

    Raises:
      UserError: a pattern that names nothing, a file that is no label by its ending, labels in `out`.
    """
    found = find_files("--labels", patterns, noun="label", example="labels/*.tif", ending_of=label_ending)
    other = [str(path) for path in found.values() if label_ending(path) is None]
    if other:
        raise UserError(
            f"--labels names {listed(other)}: not read as labels",
            expected="label images (.png, .tif, .npy), .mat with inst_map, QuPath's .geojson, ImageScope's .xml",
        )
    if any(os.path.dirname(path) == os.path.realpath(out) for path in found):
        raise UserError(
            f"there are labels in {out}, where outputs go",
            advice="choose another --out: its files would be replaced",
        )
    return list(found.values())


def matched(
    images: Sequence[pathlib.Path], labels: Sequence[pathlib.Path]
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Pairs each image with its label: that of its name, or of its name with more behind '.', '_', '-' or a blank.

    Raises:
      UserError: an image without a label, with two, or a label without an image.
    """
    by_name = {key_of(stem(image)): image for image in images}
    labels_of: dict[str, list[pathlib.Path]] = {name: [] for name in by_name}
    alone = []
    for label in labels:
        of_label = key_of(label_stem(label) or label.name)
        names = [name for name in by_name if of_label == name or _continues(name, of_label)]
        if names:
            labels_of[max(names, key=len)].append(label)
        else:
            alone.append(label.name)
    several = next((each for each in labels_of.values() if len(each) > 1), None)
    if several:
        raise UserError(
            f"{listed([str(label) for label in several])} are labels of one image by their names",
            expected="one label for each image",
            advice="name them more narrowly in --labels",
        )
    without = [by_name[name].name for name, found in labels_of.items() if not found]
    if without or alone:
        faults = [
            f"{counted(len(names), noun)} without {other}: {listed(names)}"
            for names, noun, other in ((without, "image", "a label"), (alone, "label", "an image"))
            if names
        ]
        raise UserError(
            "; ".join(faults),
            expected="a label for each image, of the image's name or with more behind it: a.png, a.tif or a_masks.tif",
        )
    return [(by_name[name], found[0]) for name, found in labels_of.items()]


def _continues(name: str, of_label: str) -> bool:
    return of_label.startswith(name) and of_label[len(name)] in _SEPARATORS
