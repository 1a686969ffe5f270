"""COCO's run lengths, decoded here as its API decodes them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import ndimage

from nucseg_jax.core.errors import UserError
from nucseg_jax.inference.formats.coco import run_lengths, run_text, write_coco
from nucseg_jax.inference.formats.options import Options
from nucseg_jax.inference.nuclei.outlines import outlines
from tests.inference.formats.predicted_folder import numbers_of


def lengths_of_text(text: str) -> list[int]:
    """As `rleFrString` of maskApi.c reads them."""
    lengths, at = [], 0
    while at < len(text):
        value, digits, more = 0, 0, True
        while more:
            digit = ord(text[at]) - 48
            value |= (digit & 0x1F) << 5 * digits
            more = bool(digit & 0x20)
            at, digits = at + 1, digits + 1
            if not more and digit & 0x10:
                value |= -1 << 5 * digits
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


def mask_of(lengths: list[int], height: int, width: int) -> np.ndarray:
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


@pytest.mark.parametrize("seed", range(6))
def test_runs_are_the_pixels_of_a_nucleus(seed):
    """Also of one that fills columns from top to foot, of holes, and of corners that touch."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    numbers, count = ndimage.label(rng.random((height, width)) < rng.choice([0.5, 0.8, 1.0]))
    found = outlines(numbers.astype(np.uint32), first=1, count=count, top=0)
    for number, outline in enumerate(found, start=1):
        lengths = run_lengths(outline, height, width)
        np.testing.assert_array_equal(mask_of(lengths, height, width), numbers == number)
        # As the API's own encoder gives them: only the first run may be empty.
        assert min(lengths[1:]) > 0


def test_lengths_are_read_as_they_were_written():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 50):
        for highest in (1, 15, 16, 31, 32, 511, 512, 2**31):
            lengths = rng.integers(0, highest, size, endpoint=True).tolist()
            text = run_text(lengths)
            assert lengths_of_text(text) == lengths
            assert all(48 <= ord(character) <= 111 for character in text)


def test_annotations_are_the_nuclei_of_the_image(images, folder, tmp_path):
    for image in images:
        write_coco(image, tmp_path / "a.json", Options())
        found = json.loads((tmp_path / "a.json").read_text())
        table = pq.read_table(image.files.parquet).to_pydict()
        numbers = numbers_of(folder, image.files.stem)
        (described,) = found["images"]
        assert (described["height"], described["width"]) == numbers.shape
        assert described["file_name"] == image.input.name
        names = {each["id"]: each["name"] for each in found["categories"]}
        assert list(names.values()) == list(image.class_names)
        annotations = found["annotations"]
        assert [each["id"] for each in annotations] == table["nucleus"]
        assert [names[each["category_id"]] for each in annotations] == table["class"]
        for each in annotations:
            segmentation = each["segmentation"]
            assert segmentation["size"] == [image.height, image.width]
            mask = mask_of(lengths_of_text(segmentation["counts"]), image.height, image.width)
            np.testing.assert_array_equal(mask, numbers == each["id"])
            rows, columns = np.nonzero(mask)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert each["bbox"] == box
            assert each["area"] == len(rows)
            assert (each["image_id"], each["iscrowd"]) == (described["id"], 0)


def test_an_image_that_coco_cannot_count_is_refused(images, tmp_path):
    import dataclasses

    large = dataclasses.replace(images[0], height=70_000, width=70_000)
    with pytest.raises(UserError, match="4,900,000,000 pixels"):
        write_coco(large, tmp_path / "a.json", Options())
    assert not list(tmp_path.iterdir())
