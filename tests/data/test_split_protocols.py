import dataclasses

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.split_protocols import authors_splits, k_fold_splits, table_splits
from nucseg_jax.data.splits import SPLIT_NAMES
from tests.data.indexes import make_index, patients


def sides(index, splits):
    """The side of each patch, by name; every patch stands on one, once."""
    found = [(int(at), name) for name in SPLIT_NAMES for at in index.positions(getattr(splits, name))]
    assert sorted(at for at, _ in found) == list(range(len(index.fold)))
    return np.array([name for _, name in sorted(found)])


def sides_of_groups(index, info, splits):
    """{group: its side}; no group has two."""
    side = sides(index, splits)
    found = {name: set(side[index.group == number].tolist()) for number, name in enumerate(info.groups)}
    assert all(len(each) == 1 for each in found.values()), found
    return {name: each.pop() for name, each in found.items()}


def pannuke(group=None):
    sizes = {1: 2656, 2: 2523, 3: 2722}
    fold = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
    row = np.concatenate([np.arange(size) for size in sizes.values()]).astype(np.int32)
    nowhere = np.zeros(len(fold), np.int32)
    return PatchIndex(
        fold, row, group, ("",) * len(fold), nowhere, nowhere, tuple(f"fold{each}" for each in fold)
    )


@pytest.mark.parametrize(
    ("number", "digest"), [(1, "66e83e852e47"), (2, "457ba72520e0"), (3, "0d28e1abc2de")]
)
def test_pannukes_rotation_has_the_digests_it_always_had(number, digest):
    splits = authors_splits(pannuke(), PANNUKE, number=number, seed=5)
    assert splits.digest.startswith(digest)
    assert splits.notes == ()


@pytest.mark.parametrize(("folds", "number"), [(4, 1), (4, 4), (8, 3), (0, 1), (0, 8)])
def test_k_folds_have_whole_groups_and_each_tests_once(folds, number):
    index, info = make_index(patients())
    splits = k_fold_splits(index, info, folds=folds, number=number, seed=2)
    side = sides_of_groups(index, info, splits)
    following = k_fold_splits(index, info, folds=folds, number=number % (folds or 8) + 1, seed=2)
    np.testing.assert_array_equal(following.test, splits.validation)
    if folds == 0:
        assert [name for name, each in side.items() if each == "test"] == [f"p{number - 1}"]
    tested = np.concatenate(
        [
            k_fold_splits(index, info, folds=folds, number=each, seed=2).test
            for each in range(1, (folds or 8) + 1)
        ]
    )
    assert len({tuple(pair) for pair in tested.tolist()}) == len(tested) == len(index.fold)


def test_the_seed_deals_the_groups():
    index, info = make_index(patients(12))
    digests = [k_fold_splits(index, info, folds=4, number=1, seed=seed).digest for seed in (0, 0, 1, 2)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_pannuke_is_divided_by_tissue_where_tissues_are_known():
    group = np.random.default_rng(0).integers(0, 19, 7901).astype(np.int32)
    splits = k_fold_splits(pannuke(group), PANNUKE, folds=0, number=3, seed=0)
    assert set(sides_of_groups(pannuke(group), PANNUKE, splits)) == set(PANNUKE.groups)
    assert splits.notes == (
        f"test is {sorted(PANNUKE.groups)[2]} of 19, validation {sorted(PANNUKE.groups)[3]}",
    )
    with pytest.raises(UserError, match="prepare it again"):
        k_fold_splits(pannuke(), PANNUKE, folds=5, number=1, seed=0)


@pytest.mark.parametrize(
    ("images", "unit"),
    [
        (patients(2, seed=1), "image"),  # One patient trains.
        ({"a.png": ("p0", 9), "b.png": ("p1", 9)}, "patch"),
        (patients(12), "group"),
    ],
)
def test_of_two_folds_a_fifth_of_the_other_one_validates(images, unit):
    index, info = make_index(images)
    for number in (1, 2):
        splits = k_fold_splits(index, info, folds=2, number=number, seed=0)
        side = sides(index, splits)
        unit_of = {
            "group": index.group,
            "image": np.array(index.image),
            "patch": np.arange(len(side)),
        }[unit]
        assert all(len(set(side[unit_of == each].tolist())) == 1 for each in set(unit_of.tolist()))
        assert np.sum(side == "validation") <= max(
            0.45 * np.sum(side != "test"), np.bincount(np.unique(unit_of, return_inverse=True)[1]).max()
        )
        assert np.sum(side == "validation") < np.sum(side != "test")
        assert f"{'patient' if unit == 'group' else unit}" in splits.notes[1]
        assert "split.seed=0" in splits.notes[1]


@pytest.mark.parametrize(
    ("folds", "number", "message"),
    [
        (9, 1, "split.folds is 9, and the data set ovary has 8 patients"),
        (1, 1, "split.folds is 1"),
        (5, 6, "split.number is 6, and the data set ovary is divided into 5 folds"),
        (0, 9, "divided into 8 folds"),
        (5, 0, "split.number is 0"),
    ],
)
def test_folds_that_there_are_not_are_refused(folds, number, message):
    index, info = make_index(patients())
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        k_fold_splits(index, info, folds=folds, number=number, seed=0)


def test_one_group_is_no_folds():
    with pytest.raises(UserError, match="has 1 patient\n"):
        k_fold_splits(*make_index({"a.png": ("p", 5), "b.png": ("p", 5)}), folds=0, number=1, seed=0)


def by_patient(names, value):
    return {image: value[int(group[1:]) % len(value)] for image, (group, _) in names.items()}


def test_the_authors_three_divisions_are_kept():
    images = patients()
    divisions = by_patient(images, ("train", "test", "train", "validation"))
    index, info = make_index(images, divisions=divisions)
    side = sides(index, authors_splits(index, info, number=1, seed=0))
    assert side.tolist() == [divisions[image] for image in index.image]


def test_without_a_validation_division_training_groups_validate():
    images = patients(15)
    divisions = by_patient(images, ("train", "test", "train"))
    index, info = make_index(images, divisions=divisions)
    splits = authors_splits(index, info, number=1, seed=3)
    side = sides_of_groups(index, info, splits)
    assert {name for name, each in side.items() if each == "test"} == {f"p{n}" for n in range(1, 15, 3)}
    count = sum(each == "validation" for each in side.values())
    assert 1 <= count <= 4
    assert f"validation is {count} patient" in splits.notes[0]
    assert authors_splits(index, info, number=1, seed=4).digest != splits.digest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (("train",), "have the divisions train\n"),
        (("",), "have no divisions"),
        (("train", "test", "fold3"), "have the divisions fold3, test, train"),
        (("train", "test", ""), "have no division: p2_"),
    ],
)
def test_other_divisions_are_refused_with_the_protocol_that_helps(value, message):
    images = patients(6)
    index, info = make_index(images, divisions=by_patient(images, value))
    with pytest.raises(UserError, match=rf"{message}(?s:.*)split\.protocol=k_fold"):
        authors_splits(index, info, number=1, seed=0)


def test_a_division_of_authors_does_not_rotate():
    images = patients(6)
    index, info = make_index(images, divisions=by_patient(images, ("train", "test")))
    with pytest.raises(UserError, match=r"split\.number is 2"):
        authors_splits(index, info, number=2, seed=0)


def table_of(tmp_path, index, value_of):
    """A CSV file with a value for each image."""
    path = tmp_path / "table.csv"
    lines = [f"{image},{value_of(image)}" for image in sorted(set(index.image))]
    path.write_text("\n".join(["image,where", *lines]))
    return path


def test_a_group_on_two_sides_is_refused_unless_allowed(tmp_path):
    images = {"p0_a.png": ("p0", 3), "p0_b.png": ("p0", 4), "p1.png": ("p1", 5), "p2.png": ("p2", 5)}
    divisions = {"p0_a.png": "train", "p0_b.png": "test", "p1.png": "train", "p2.png": "validation"}
    index, info = make_index(images, divisions=divisions)
    table = {"table": table_of(tmp_path, index, divisions.get), "column": "where"}
    for divide, more in ((authors_splits, {}), (table_splits, table)):
        with pytest.raises(UserError, match=r"of one patient on two sides: p0 \(train 3, test 4\)"):
            divide(index, info, number=1, seed=0, **more)
        splits = divide(index, info, number=1, seed=0, allow_shared_groups=True, **more)
        assert sides(index, splits).tolist() == [divisions[image] for image in index.image]


def test_folds_of_a_table_rotate_by_number_and_not_as_text(tmp_path):
    images = {f"{letter}.png": (letter, 4) for letter in "abcdefghijkl"}
    index, info = make_index(images)
    values = {image: number for number, image in enumerate(images, 1)}
    table = table_of(tmp_path, index, lambda image: f"{values[image]}.0")
    for number in range(1, 13):
        splits = table_splits(index, info, table=table, column="where", number=number, seed=0)
        side = sides(index, splits)
        expected = {number: "test", number % 12 + 1: "validation"}
        assert side.tolist() == [expected.get(values[image], "train") for image in index.image]
    assert splits.notes == ("test is fold 12 of 12, validation fold 1",)
    with pytest.raises(UserError, match=r"split\.number is 13"):
        table_splits(index, info, table=table, column="where", number=13, seed=0)


def test_a_group_in_two_folds_of_a_table_is_refused_where_they_are_on_two_sides(tmp_path):
    images = {"p0_a.png": ("p0", 3), "p0_b.png": ("p0", 4), "p1.png": ("p1", 5), "p2.png": ("p2", 5)}
    index, info = make_index(images)
    table = table_of(tmp_path, index, {"p0_a.png": 3, "p0_b.png": 4, "p1.png": 1, "p2.png": 2}.get)
    splits = table_splits(index, info, table=table, column="where", number=1, seed=0)  # Both train.
    assert sides_of_groups(index, info, splits) == {"p0": "train", "p1": "test", "p2": "validation"}
    with pytest.raises(UserError, match=r"p0 \(validation 4, test 3\)"):
        table_splits(index, info, table=table, column="where", number=3, seed=0)


def test_a_table_without_validation_gets_some_and_one_of_tests_alone_trains_nothing(tmp_path):
    images = patients(10)
    index, info = make_index(images)
    values = by_patient(images, ("train", "test"))
    table = table_of(tmp_path, index, values.get)
    splits = table_splits(index, info, table=table, column="where", number=1, seed=0)
    side = sides_of_groups(index, info, splits)
    assert set(side.values()) == set(SPLIT_NAMES)
    only_test = table_of(tmp_path, index, lambda image: "test")
    splits = table_splits(index, info, table=only_test, column="where", number=1, seed=0)
    assert [len(getattr(splits, name)) for name in SPLIT_NAMES] == [0, 0, len(index.fold)]


def test_notes_are_no_part_of_what_a_run_is_known_by():
    splits = k_fold_splits(*make_index(patients()), folds=4, number=1, seed=0)
    assert splits.notes
    assert dataclasses.replace(splits, notes=()).digest == splits.digest
    assert splits.as_json().keys() == set(SPLIT_NAMES)
