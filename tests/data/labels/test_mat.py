import subprocess
import sys

import numpy as np
import pytest
import scipy.io

from nucseg_jax.core.errors import UserError
from tests.data.labels.label_files import drawn, read


@pytest.fixture
def variables() -> dict[str, np.ndarray]:
    """Six nuclei with the ids 3, 6, ... 18 and the classes 1, 2, 3, 1, 2, 3, as CoNSeP has them."""
    ids, types = np.zeros((40, 60)), np.zeros((40, 60))
    centroids = []
    for index in range(6):
        top, left = 2 + 18 * (index // 3), 3 + 18 * (index % 3)
        ids[top : top + 9, left : left + 12] = 3 * (index + 1)
        types[top : top + 9, left : left + 12] = index % 3 + 1
        centroids.append((left + 5.5, top + 4.0))
    return {
        "inst_map": ids,
        "type_map": types,
        "inst_type": np.array([[1.0, 2, 3, 1, 2, 3]]).T,
        "inst_centroid": np.array(centroids),
    }


def read_saved(folder, variables, **more):
    scipy.io.savemat(folder / "a.mat", variables, **more)
    return read(folder / "a.mat", 40, 60)


def test_classes_follow_the_sorted_ids(tmp_path, variables):
    annotation = read_saved(tmp_path, variables, do_compression=True)
    assert annotation.classes == (1, 2, 3, 1, 2, 3)
    result = drawn(annotation, 40, 60, {1: 1, 2: 2, 3: 3})
    np.testing.assert_array_equal(result.label, variables["type_map"])
    np.testing.assert_array_equal(result.instance * 3, variables["inst_map"])


def test_without_types_there_are_no_classes_and_type_map_takes_their_place(tmp_path, variables):
    assert read_saved(tmp_path, {"inst_map": variables["inst_map"].astype(np.int32)}).classes == (None,) * 6
    del variables["inst_type"]
    annotation = read_saved(tmp_path, variables)
    assert annotation.classes == (1, 2, 3, 1, 2, 3)
    assert any("inst_type is missing" in note for note in annotation.notes)


def test_an_empty_file_is_legal(tmp_path):
    for more in (
        {},
        {"inst_type": np.zeros((0, 1)), "inst_centroid": np.zeros((0, 2)), "type_map": np.zeros((40, 60))},
    ):
        annotation = read_saved(tmp_path, {"inst_map": np.zeros((40, 60)), **more})
        assert annotation.nucleus_count == 0
        assert not drawn(annotation, 40, 60).label.any()


def test_types_in_another_order_are_refused_by_the_first_nucleus(tmp_path, variables):
    variables["inst_type"][1:3] = variables["inst_type"][2:0:-1].copy()
    with pytest.raises(UserError, match=r"2 nuclei of 6 .* the first is id 6: 3 in inst_type, 2 in type_map"):
        read_saved(tmp_path, variables)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda v: v.update(inst_type=v["inst_type"][:-1]), "inst_type has 5 values, inst_map 6 nuclei"),
        (
            lambda v: v.update(inst_type=v["inst_type"] * 0),
            "the class 0, background, in inst_type; the first is id 3",
        ),
        (lambda v: v.update(inst_type=v["inst_type"] + 0.5), "inst_type: some values are fractions"),
        (lambda v: v.update(inst_type=v["inst_type"] + 300), "the class 303"),
        (lambda v: v.update(inst_type=np.array(["a"] * 6)), "inst_type holds no numbers"),
        (lambda v: v.update(inst_map=v["inst_map"].T), "they are transposed"),
        (lambda v: v.update(inst_map=v["inst_map"][:-1]), "39 x 60 px"),
        (lambda v: v.update(inst_map=v["inst_map"][None]), "inst_map has the shape"),
        (lambda v: v.update(inst_map=v["inst_map"] / 2), "inst_map: some values are fractions"),
        (lambda v: v.update(type_map=v["type_map"][:, 1:]), "40 x 59 px"),
        (lambda v: v.update(inst_centroid=v["inst_centroid"][:, ::-1]), "exchange x and y"),
        (lambda v: v.update(inst_centroid=v["inst_centroid"][::-1]), "in the order of the sorted ids"),
        (lambda v: v.update(inst_centroid=v["inst_centroid"] * np.nan), "6 centroids of 6"),
        (lambda v: v.update(inst_centroid=v["inst_centroid"][:5]), "inst_centroid has the shape (5, 2)"),
        (lambda v: v.update(labels=v.pop("inst_map")), "it holds no inst_map, but inst_centroid"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(tmp_path, variables, alter, reason):
    alter(variables)
    with pytest.raises(UserError) as caught:
        read_saved(tmp_path, variables)
    assert reason in str(caught.value)
    assert "a.mat" in str(caught.value)


def test_centroids_counted_from_one_are_taken_and_other_variables_named(tmp_path, variables):
    variables["inst_centroid"] += 1
    annotation = read_saved(tmp_path, {**variables, "bbox": np.zeros(3)})
    assert annotation.notes == (
        "the numbers are read as ids of 6 nuclei",
        "variables that are not read: bbox",
    )


def test_files_of_matlab_7_3_are_named(tmp_path):
    import h5py

    for block in (0, 512):
        with h5py.File(tmp_path / "a.mat", "w", userblock_size=block) as file:
            file["inst_map"] = np.zeros((40, 60))
        with pytest.raises(UserError, match=r"MATLAB 7.3"):
            read(tmp_path / "a.mat", 40, 60)


def test_a_tile_of_consep_is_read_as_it_was_written(shared, tmp_path):
    script = shared / "tools" / "write_consep_release.py"
    subprocess.run([sys.executable, script, tmp_path, "--limit", "1"], check=True)
    with np.load(shared / "data" / "consep_train.npz") as data:
        names, instance, classes = data["tile"][:1], data["instance"][:1], data["nucleus_class"][:1]
    for name, ids, types in zip(names, instance, classes, strict=True):
        annotation = read(tmp_path / "Train" / "Labels" / f"{name}.mat", 1000, 1000)
        result = drawn(annotation, 1000, 1000, {number: number for number in range(1, 5)})
        np.testing.assert_array_equal(result.label, types)
        np.testing.assert_array_equal(result.instance > 0, ids > 0)
        assert annotation.nucleus_count == len(np.unique(ids)) - 1
        assert (np.unique(ids)[1:][result.instance[ids > 0] - 1] == ids[ids > 0]).all()


def test_long_names_do_not_fill_the_message_and_doubtful_numbers_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a" * 5000: np.zeros((40, 60))}, format="4")
    with pytest.raises(UserError, match=r"holds no inst_map, but a{60}\n") as caught:
        read(tmp_path / "a.mat", 40, 60)
    assert len(str(caught.value)) < 1000
    scipy.io.savemat(tmp_path / "a.mat", {"inst_map": np.zeros((40, 60))}, format="4")
    content = (tmp_path / "a.mat").read_bytes()
    # The thousands of the first word are the format of numbers: 3 is VAX G-float.
    (tmp_path / "a.mat").write_bytes((3000).to_bytes(4, "little") + content[4:])
    with pytest.raises(UserError, match="VAX G-float"):
        read(tmp_path / "a.mat", 40, 60)
