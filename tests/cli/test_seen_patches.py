"""What a run has seen, told by patches in one data set and by images where labels were corrected."""

import dataclasses
import json

import numpy as np
import pytest

from nucseg_jax.cli.evaluate import refuse_seen_patches
from nucseg_jax.cli.seen_patches import require_unseen, seen_by_run
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.data.split_sides import images_by_side, lists_of
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.run_folder.claim import claim_run_folder
from nucseg_jax.run_folder.folder import RunFolder
from tests.data.indexes import make_index

IMAGES = {"a.png": ("a", 2), "b.png": ("b", 2), "c.png": ("c", 2), "d.png": ("d", 2)}
NOWHERE = np.zeros((0, 4), np.int32)


def plan_of(tmp_path, train, validation, test, *, digest="d" * 64, name="ovary") -> DataPlan:
    """A plan whose sides are images by the first letters of their names."""
    index, info = make_index(IMAGES)
    side_of = {
        letter: number for number, letters in enumerate((train, validation, test)) for letter in letters
    }
    side = np.array([side_of.get(image[0], -1) for image in index.image])
    dataset = StoredDataset(tmp_path, dataclasses.replace(info, name=name), index, digest, NOWHERE)
    return DataPlan(dataset, lists_of(index, side))


def run_of(path, plan) -> RunFolder:
    with claim_run_folder(path, {}, [], plan.splits, plan.dataset) as folder:
        return folder


SIDES = [
    (("a", "b", "c"), None),
    (("b", "d", "c"), None),  # What was selected on may train.
    (("d", "b", "c"), None),
    (("b", "a", "c"), r"was trained on {}, which would stand on the validation side"),
    (("b", "d", "a"), r"was trained on {}, which would stand on the test side"),
    (("d", "c", "b"), r"was selected on {}, which would stand on the test side"),
]


@pytest.mark.parametrize(("now", "message"), SIDES)
def test_patches_of_one_data_set_are_told_by_their_numbers(tmp_path, now, message):
    """Also where not the run itself saw them, but the one that it started from."""
    first = run_of(tmp_path / "first", plan_of(tmp_path, "a", "b", "c"))
    second = run_of(tmp_path / "second", plan_of(tmp_path, "a", "b", "c", digest="f" * 64, name="liver"))
    write_json(second.pretrained, {"seen": seen_by_run(first)})
    later = plan_of(tmp_path, *now)
    for folder in (first, second):
        seen = seen_by_run(folder)
        if message is None:
            require_unseen(seen, folder.path, later)
            refuse_seen_patches(folder, later, "test")
            continue
        with pytest.raises(UserError, match=message.format("2 of the 2 patches")):
            require_unseen(seen, folder.path, later)
        if "test side" in message:
            with pytest.raises(UserError, match=r"was \w+ on 2 of the 2 patches of this test split"):
                refuse_seen_patches(folder, later, "test")
    with pytest.raises(UserError, match=r"a run that .*second started from was trained on"):
        refuse_seen_patches(second, plan_of(tmp_path, "", "", "a"), "test")


@pytest.mark.parametrize(("now", "message"), SIDES)
def test_images_with_other_labels_are_the_same_images(tmp_path, now, message):
    """Labels were corrected, images added and the data set prepared again: names tell what was seen."""
    folder = run_of(tmp_path / "first", plan_of(tmp_path, "a", "b", "c"))
    seen = seen_by_run(folder)
    require_unseen(seen, folder.path, plan_of(tmp_path, *now, digest="e" * 64, name="liver"))
    corrected = plan_of(tmp_path, *now, digest="e" * 64)
    if message is None:
        require_unseen(seen, folder.path, corrected)
        refuse_seen_patches(folder, corrected, "test")
        return
    with pytest.raises(UserError, match=message.format(r"1 image of the same name \([ab]\.png\)")):
        require_unseen(seen, folder.path, corrected)
    if "test side" in message:
        with pytest.raises(UserError, match=r"on 1 image of the same name \([ab]\.png\) of this test split"):
            refuse_seen_patches(folder, corrected, "test")


def test_images_are_kept_where_they_are_known(tmp_path):
    folder = run_of(tmp_path / "run", plan_of(tmp_path, "ab", "c", "d"))
    kept = json.loads(folder.split.read_text())["images"]
    assert kept == {"train": ["a.png", "b.png"], "validation": ["c.png"], "test": ["d.png"]}
    index, _ = make_index(IMAGES, has_groups=False)
    assert images_by_side(index, plan_of(tmp_path, "ab", "c", "d").splits) == {}
