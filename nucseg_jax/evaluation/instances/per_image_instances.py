"""The instance counts of a split as a CSV file, one line an image: every score of nuclei can be computed from it again.

    index,fold,row,tissue,annotated,nucleus_tp,nucleus_fp,nucleus_fn,nucleus_iou_sum,nucleus_dq,nucleus_sq,nucleus_pq,...
    0,3,0,Breast,1,14,3,5,10.875,0.777778,0.776786,0.604167,...

Columns, in this order:
    index, fold, row, the data set's word for a group; image, top and left where a patch's image is known
    annotated                     0 where every pixel is void: such an image counts nowhere
    {name}_tp, _fp, _fn           matches by IoU > 1/2, of `nucleus` and of each class if the model has classes
    {name}_iou_sum                sum of the IoU of the matches, which reads back as the same float64
    {name}_dq, _sq, _pq           of this image; empty where undefined (0/0)
    aji_numerator, _denominator   px, and `aji`, their ratio; likewise aji_plus and dice2
    {name}_detection_tp, ...      matches by centroids, see `detection.CELLS`; `detection_parity` as HoVer-Net's code

Ratios have six decimals and are not read; everything else is exact.
"""

import csv
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.files import atomic_write
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.evaluation.instances.detection import CELLS
from nucseg_jax.evaluation.instances.image_counts import ImageCounts
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from nucseg_jax.evaluation.instances.instance_metrics import quality
from nucseg_jax.evaluation.patch_columns import PLACES, patch_columns
from nucseg_jax.evaluation.scores import divide

# No patch has as many pixels.
_LIMIT = 2**31


class _Column(NamedTuple):
    """A column: its name, its values [N], a view of the counts where `is_stored`, else computed from them."""

    name: str
    values: np.ndarray
    is_stored: bool = True


def per_image_instances_path(run: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the path of the instance counts of a split in a run folder."""
    return run / f"per_image_instances_{split}.csv"


def write_per_image_instances(
    path: pathlib.Path, counts: InstanceCounts, patches: np.ndarray, *, info: DatasetInfo, index: PatchIndex
) -> None:
    """Writes the file in one step, images in the order of the split.

    Args:
      path: the file; its folder exists.
      counts: of the split or of part of it.
      patches: integer [P, 2], (fold, row in the fold) of the whole split; `counts.index` points into it.
      info: of the data set.
      index: of the data set; places are written if it has any.
    """
    named = patch_columns(counts.index, counts.group, patches, info=info, index=index)
    columns = list(_columns(counts.images, info.counted_names(counts.num_classes + 1)))
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*named, *(column.name for column in columns)])
        writer.writerows(zip(*named.values(), *map(_cells, columns), strict=True))


def read_per_image_instances(path: pathlib.Path, info: DatasetInfo) -> tuple[InstanceCounts, np.ndarray]:
    """Reads a file of `write_per_image_instances`, with or without places.

    Args:
      path: the file.
      info: of the data set that it was written for.

    Returns:
      The counts, equal to those that were written, and the images' patches, int32 [N, 2] of (fold, row in the fold).

    Raises:
      UserError: the file is missing, is not such a file, or has other classes or groups than the data set.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file, strict=True)) or [[]]
        # Columns are read by position: the word for a group may be the name of another column.
        cells = list(zip(*lines, strict=True)) if lines else [()] * len(header)
        num_classes, first = _layout(header, info)
        counts = InstanceCounts.zeros(len(lines), num_classes)
        for column, texts in zip(
            _columns(counts.images, info.counted_names(num_classes + 1)), cells[first:], strict=True
        ):
            if column.is_stored:
                column.values[:] = _parsed(column, texts)
        if (counts.images.iou_sum > counts.images.tp).any():
            raise ValueError("a sum of IoU above the number of matches")
        number_of = {name: number for number, name in enumerate(info.groups)}
        counts.index[:] = [int(text) for text in cells[0]]
        counts.group[:] = [number_of[text] for text in cells[3]]
        patches = np.array([[int(text) for text in column] for column in cells[1:3]], np.int32).T
        order = np.argsort(counts.index, kind="stable")
        return InstanceCounts.empty(num_classes).merge(counts), patches[order]
    except FileNotFoundError:
        raise _bad_file(f"{path} does not exist") from None
    except (csv.Error, KeyError, ValueError, OverflowError) as error:
        raise _bad_file(f"{path} is not a table of instance counts ({reason_of(error)})") from None


def _columns(images: ImageCounts, names: tuple[str, ...]) -> Iterator[_Column]:
    """Yields all columns but those that name the patch."""
    yield _Column("annotated", images.is_annotated)
    found = quality(images)
    for place, name in enumerate(names):
        for field in ("tp", "fp", "fn", "iou_sum"):
            yield _Column(f"{name}_{field}", getattr(images, field)[:, place])
        for field in ("dq", "sq", "pq"):
            yield _Column(f"{name}_{field}", getattr(found, field)[:, place], is_stored=False)
    for field in ("aji", "aji_plus", "dice2"):
        ratio: np.ndarray = getattr(images, field)
        yield _Column(f"{field}_numerator", ratio[:, 0])
        yield _Column(f"{field}_denominator", ratio[:, 1])
        yield _Column(field, divide(*ratio.T), is_stored=False)
    for mode in ("detection", "detection_parity"):
        for place, name in enumerate(names):
            for number, cell in enumerate(CELLS):
                yield _Column(f"{name}_{mode}_{cell}", getattr(images, mode)[:, place, number])


def _cells(column: _Column) -> list[int | str]:
    values = column.values
    if not column.is_stored:
        return ["" if np.isnan(value) else f"{value:.6f}" for value in values]
    # repr of a float64 is the shortest text that reads back as the same float64.
    return list(map(repr, values.tolist())) if values.dtype.kind == "f" else values.astype(int).tolist()


def _parsed(column: _Column, texts: tuple[str, ...]) -> list[int | float]:
    parse = float if column.values.dtype.kind == "f" else int
    values = [parse(text) for text in texts]
    limit = 2 if column.values.dtype.kind == "b" else _LIMIT
    # NaN is refused too.
    if not all(0 <= value < limit for value in values):
        raise ValueError(f"a value of {column.name} below 0 or too large")
    return values


def _layout(header: list[str], info: DatasetInfo) -> tuple[int, int]:
    """Returns C and the position of the first column of counts; ValueError for a header of another kind."""
    named = ["index", "fold", "row", info.group_noun]
    for num_classes in dict.fromkeys((0, len(info.classes))):
        names = info.counted_names(num_classes + 1)
        counted = [column.name for column in _columns(InstanceCounts.empty(num_classes).images, names)]
        for first in (named, [*named, *PLACES]):
            if header == [*first, *counted]:
                return num_classes, len(first)
    raise ValueError("its columns are not those of this data set's classes and groups")


def _bad_file(found: str) -> UserError:
    return UserError(
        found,
        expected="a per_image_instances_{split}.csv as `launch.py evaluate` writes it",
        advice=f"write it again: {PROGRAM} evaluate --config=CONFIG --workdir=RUN --split=SPLIT",
    )
