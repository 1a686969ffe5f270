"""COCO JSON: an annotation a nucleus, its pixels as compressed run lengths.

https://cocodataset.org/#format-data. Runs go down the columns of the image, the first one is of background. Their
lengths become text as `rleToString` of COCO's maskApi.c writes them: in digits of five bits, from the fourth run on as
differences to the run before the last.
"""

import json
import pathlib
from typing import Any

import numpy as np
import shapely

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import atomic_write
from nucseg_jax.inference.formats.finished_image import FinishedImage
from nucseg_jax.inference.formats.options import Options

# The API counts pixels in 32 bits.
_MOST_PX = 2**32 - 1
_SCORE = "mean_probability"


def write_coco(image: FinishedImage, path: pathlib.Path, options: Options) -> None:
    """Writes it atomically; the file of an image has that image alone, with the id 1, and numbers of nuclei as ids.

    Raises:
      UserError: the image has more pixels than COCO can count.
    """
    del options
    if image.height * image.width > _MOST_PX:
        raise UserError(
            f"{image.input} has {image.height * image.width:,} pixels, which COCO cannot count",
            expected=f"at most {_MOST_PX:,}",
            advice="leave coco out of --formats for it",
        )
    head = {
        "images": [{"id": 1, "file_name": image.input.name, "height": image.height, "width": image.width}],
        "categories": [{"id": id_, "name": name} for id_, name in enumerate(image.class_names, start=1)],
    }
    category = {each["name"]: each["id"] for each in head["categories"]}
    with atomic_write(path) as part, part.open("w", encoding="utf-8") as text:
        text.write(_json(head)[:-1] + ',"annotations":[')
        separator = "\n"
        for table, _, outlines in image.batches():
            # Nuclei that another program found have none.
            probabilities = table[_SCORE].to_pylist() if _SCORE in table.column_names else None
            rows = zip(
                table["nucleus"].to_pylist(),
                table["class"].to_pylist(),
                probabilities or [None] * len(table),
                outlines,
                strict=True,
            )
            for number, name, probability, outline in rows:
                left, top, right, bottom = shapely.bounds(outline).tolist()
                annotation = {
                    "id": number,
                    "image_id": 1,
                    "category_id": category[name],
                    "segmentation": {
                        "size": [image.height, image.width],
                        "counts": run_text(run_lengths(outline, image.height, image.width)),
                    },
                    "area": round(shapely.area(outline)),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    **({} if probability is None else {"score": round(probability, 4)}),
                }
                text.write(separator + _json(annotation))
                separator = ",\n"
        text.write("\n]}\n")


def run_lengths(outline: shapely.Geometry, height: int, width: int) -> list[int]:
    """Returns lengths of runs down the columns of an image, background first, of the pixels inside polygons.

    Args:
      outline: a polygon or several, along the edges of pixels, holes included.
      height, width: of the image.
    """
    rings = shapely.get_rings(shapely.get_parts(outline))
    edges = [np.rint(shapely.get_coordinates(ring)).astype(np.int64) for ring in rings]
    begin = np.concatenate([ring[:-1] for ring in edges])
    end = np.concatenate([ring[1:] for ring in edges])
    is_level = begin[:, 1] == end[:, 1]
    left = np.minimum(begin[is_level, 0], end[is_level, 0])
    length = np.abs(end[is_level, 0] - begin[is_level, 0])
    # Down a column, each edge that lies across it is where a run ends and the next begins.
    offset = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    column = np.repeat(left, length) + offset
    changes = np.sort(column * height + np.repeat(begin[is_level, 1], length))
    # The end of a run at the foot of a column, where one begins on top of the next: no change.
    same = changes[1:] == changes[:-1]
    stays = np.ones(len(changes), bool)
    stays[1:] &= ~same
    stays[:-1] &= ~same
    runs = np.diff(changes[stays], prepend=0, append=height * width).tolist()
    return runs if runs[-1] else runs[:-1]


def run_text(lengths: list[int]) -> str:
    """Returns run lengths as COCO's text.

    >>> run_text([6, 1, 40, 4, 5, 4, 5, 4, 21])
    '61X13mN000`0'
    """
    digits = []
    for index, length in enumerate(lengths):
        rest = length - lengths[index - 2] if index > 2 else length
        while True:
            digit = rest & 0x1F
            rest >>= 5
            # The sign is that of the last digit's highest bit.
            is_last = rest == (-1 if digit & 0x10 else 0)
            digits.append(chr(48 + (digit if is_last else digit | 0x20)))
            if is_last:
                break
    return "".join(digits)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
