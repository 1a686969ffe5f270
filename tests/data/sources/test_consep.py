import json

import numpy as np
import pytest
import scipy.io

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.sources.consep import open_consep
from tests.data.sources import lab


def write_tile(folder, half: str, name: str, types, *, seed: int = 0) -> np.ndarray:
    """A tile whose nuclei have these types in turn, as published; returns the type of each pixel."""
    ids = lab.nuclei(96, 96, seed=seed)
    numbers = np.unique(ids)[1:]
    kinds = np.resize(types, len(numbers)).astype(float)
    type_map = np.zeros(ids.shape)
    for number, kind in zip(numbers, kinds, strict=True):
        type_map[ids == number] = kind
    lab.save_picture(folder / half / "Images" / f"{name}.png", lab.picture(ids))
    (folder / half / "Labels").mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        folder / half / "Labels" / f"{name}.mat",
        {"inst_map": ids.astype(float), "type_map": type_map, "inst_type": kinds[:, None]},
    )
    return type_map.astype(int)


def label_of(source, name: str) -> np.ndarray:
    label = np.full((128, 128), VOID_LABEL)
    for patch in source.patches():
        if patch.image_name == name:
            label[patch.top : patch.top + 64, patch.left : patch.left + 64] = patch.label
    assert (label[96:] == VOID_LABEL).all()
    return label[:96, :96]


@pytest.mark.parametrize("below", ["", "CoNSeP"])
def test_seven_published_types_are_merged_to_four_classes(tmp_path, below):
    train = write_tile(tmp_path / below, "Train", "train_1", [1, 2, 3, 4, 5, 6, 7])
    test = write_tile(tmp_path / below, "Test", "test_1", [4, 7, 1], seed=1)
    (tmp_path / below / "Train" / "Overlay").mkdir()
    source = open_consep(lab.folder_config(tmp_path))
    merged = np.array([0, 1, 2, 3, 3, 4, 4, 4])
    np.testing.assert_array_equal(label_of(source, "train_1.png"), merged[train])
    np.testing.assert_array_equal(label_of(source, "test_1.png"), merged[test])
    info = source.info
    assert info.class_names == ("miscellaneous", "inflammatory", "epithelial", "spindle-shaped")
    assert info.divisions == ("train", "test")
    assert info.groups == ("test_1", "train_1")
    assert {(info.groups[patch.group], patch.division) for patch in source.patches()} == {
        ("test_1", "test"),
        ("train_1", "train"),
    }
    assert "1812.06499" in info.citation
    assert source.origin["kind"] == "consep"
    json.dumps(source.origin)


def test_four_merged_classes_are_taken_as_they_are_and_a_missing_half_is_told(tmp_path):
    types = write_tile(tmp_path, "Train", "train_1", [1, 2, 3, 4])
    source = open_consep(lab.folder_config(tmp_path))
    np.testing.assert_array_equal(label_of(source, "train_1.png"), types)
    assert source.info.divisions == ("train",)
    assert any("Test/ is not there" in line for line in source.described)
    assert any("read as merged before" in line for line in source.described)


def test_halves_with_other_classes_are_refused(tmp_path):
    write_tile(tmp_path, "Train", "train_1", [1, 2, 3, 4])
    write_tile(tmp_path, "Test", "test_1", [1, 5])
    with pytest.raises(UserError, match="the highest type is 4 in Train/ and 5 in Test/"):
        open_consep(lab.folder_config(tmp_path))


def test_what_is_not_as_published_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither Train/ nor Test/"):
        open_consep(lab.folder_config(tmp_path))
    write_tile(tmp_path, "Train", "train_1", [1, 8])
    with pytest.raises(UserError, match=r"train_1\.mat: \d+ nuclei of the class 8"):
        open_consep(lab.folder_config(tmp_path))
    (tmp_path / "Train" / "Labels" / "train_1.mat").unlink()
    with pytest.raises(UserError, match=r"1 image without a label: train_1\.png"):
        open_consep(lab.folder_config(tmp_path))


def test_real_tiles_keep_every_pixel(shared, tmp_path):
    with np.load(shared / "data" / "consep_train.npz") as data:
        # One strip is enough to meet every edge.
        image, instance, classes = (data[name][0, :300] for name in ("image", "instance", "nucleus_class"))
        name = str(data["tile"][0])
    lab.save_picture(tmp_path / "Train" / "Images" / f"{name}.png", image)
    (tmp_path / "Train" / "Labels").mkdir()
    ids = np.unique(instance)[1:]
    kinds = np.array([classes[instance == each][0] for each in ids])
    scipy.io.savemat(
        tmp_path / "Train" / "Labels" / f"{name}.mat",
        {
            "inst_map": instance.astype(float),
            "type_map": classes.astype(float),
            "inst_type": kinds[:, None],
        },
    )
    source = open_consep(lab.folder_config(tmp_path, patch_px=256))
    assert source.patch_count == 8
    for patch in source.patches():
        rows, columns = min(256, 300 - patch.top), min(256, 1000 - patch.left)
        place = np.s_[patch.top : patch.top + rows, patch.left : patch.left + columns]
        np.testing.assert_array_equal(patch.image[:rows, :columns], image[place])
        np.testing.assert_array_equal(patch.label[:rows, :columns], classes[place])
        pairs = np.unique(np.stack([patch.instance[:rows, :columns], instance[place]]).reshape(2, -1), axis=1)
        assert len(set(pairs[0])) == len(set(pairs[1])) == len(pairs[0])
