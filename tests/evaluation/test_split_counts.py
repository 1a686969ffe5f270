from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.evaluation.counts import Counts

INFO = DatasetInfo("one class", (NucleusClass("tumour", (1, 2, 3)),), ("a", "b", "c", "d"))


def split_of(images: int, classes: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(images)
    return {
        "counts": rng.integers(0, 900, (images, classes, 4)).astype(np.int32),
        "index": np.arange(images, dtype=np.int32),
        "group": rng.integers(0, 4, images).astype(np.int32),
        "losses": {"dice_loss": rng.random(images, np.float32), "focal_loss": rng.random(images, np.float32)},
        "valid": np.ones(images, bool),
    }


def padded(rows: dict[str, Any], size: int) -> dict[str, Any]:
    missing = size - len(rows["index"])
    # Padding repeats an index and holds counts: only `valid` says that it is padding.
    padding = jax.tree.map(lambda column: np.repeat(column[:1], missing, axis=0), rows)
    padding["valid"] = np.zeros(missing, bool)
    return jax.tree.map(lambda column, more: np.concatenate([column, more]), rows, padding)


def equal(one: Counts, other: Counts) -> bool:
    leaves, structure = jax.tree.flatten(one)
    others, other_structure = jax.tree.flatten(other)
    return structure == other_structure and all(
        np.array_equal(leaf, of_other) and leaf.dtype == of_other.dtype
        for leaf, of_other in zip(leaves, others, strict=True)
    )


@settings(max_examples=40, deadline=None)
@given(images=st.integers(1, 30), batch_size=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_batch_size_and_order_change_nothing(images: int, batch_size: int, seed: int):
    whole = split_of(images)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(images)
    parts = []
    for start in range(0, images, batch_size):
        chosen = shuffled[start : start + batch_size]
        rows = jax.tree.map(lambda column: column[chosen], whole)  # noqa: B023
        parts.append(Counts.from_batch(**padded(rows, batch_size)))
    # Merged as a random tree, as several hosts would.
    while len(parts) > 1:
        left, right = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(left.merge(right))
    together = Counts.from_batch(**whole)
    assert equal(parts[0], together)
    assert parts[0].scores(INFO) == together.scores(INFO)
    assert parts[0].mean_losses() == together.mean_losses()


def test_empty_is_neutral_whatever_the_number_of_classes():
    counts = Counts.from_batch(**split_of(5, classes=6))
    assert equal(Counts.empty().merge(counts), counts)
    assert equal(counts.merge(Counts.empty()), counts)
    assert equal(Counts.empty().merge(Counts.empty()), Counts.empty())


def test_a_batch_of_padding_alone_is_empty():
    rows = split_of(3)
    rows["valid"][:] = False
    assert len(Counts.from_batch(**rows).index) == 0


def test_an_image_counted_twice_is_refused():
    counts = Counts.from_batch(**split_of(4))
    with pytest.raises(ValueError, match=r"index \[0, 1, 2, 3\] comes more than once"):
        counts.merge(counts)
    rows = split_of(4)
    rows["index"][3] = 2
    with pytest.raises(ValueError, match=r"index \[2\]"):
        Counts.from_batch(**rows)


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="group"):
        Counts.from_batch(**{**split_of(4), "group": np.zeros(3, np.int32)})
    with pytest.raises(ValueError, match=r"expected integer \[N, K, 4\]"):
        Counts.from_batch(**{**split_of(4), "counts": np.zeros((4, 1, 4), np.float32)})
    with pytest.raises(ValueError, match="classes"):
        Counts.from_batch(**split_of(2, classes=1)).merge(Counts.from_batch(**split_of(2, classes=2)))
    with pytest.raises(ValueError, match="losses dice_loss, focal_loss and dice_loss"):
        Counts.from_batch(**split_of(2)).merge(
            Counts.from_batch(**{**split_of(2), "losses": {"dice_loss": np.zeros(2)}})
        )


@pytest.mark.parametrize("value", [-1, 2**31])
def test_counts_that_are_none_are_refused_and_never_wrapped(value):
    rows = split_of(4)
    rows["counts"] = rows["counts"].astype(np.int64)
    rows["counts"][2, 0, 1] = value
    with pytest.raises(ValueError, match="below 0, or of 2"):
        Counts.from_batch(**rows)
    # What stands in padding is not looked at.
    rows["valid"] = np.arange(4) != 2
    assert len(Counts.from_batch(**rows).index) == 3


def test_mean_loss_is_that_of_the_images_and_never_nan():
    loss = np.array([0.5, 0.25, 0.75], np.float32)
    rows = {**split_of(3), "losses": {"dice_loss": loss, "tversky_loss": loss + 1}}
    assert Counts.from_batch(**rows).mean_losses() == {"dice_loss": 0.5, "tversky_loss": 1.5}
    loss[1] = np.nan
    assert Counts.from_batch(**rows).mean_losses() == {"dice_loss": None, "tversky_loss": 1.5}
    assert Counts.empty().mean_losses() == {}


def test_mean_loss_with_nuclei_leaves_out_images_without():
    rows = {**split_of(3), "losses": {"dice_loss": np.array([0.5, 1.0, 0.25], np.float32)}}
    rows["counts"][:, 0] = [[1, 0, 0, 9], [0, 1, 0, 9], [0, 0, 1, 9]]
    assert Counts.from_batch(**rows).mean_losses_with_nuclei() == {"dice_loss": 0.375}
    rows["counts"][:, 0] = [0, 1, 0, 9]
    assert Counts.from_batch(**rows).mean_losses_with_nuclei() == {"dice_loss": None}


def test_works_in_a_collection_of_clu_with_arrays_of_jax():
    @flax.struct.dataclass
    class Evaluation(clu.metrics.Collection):
        pixels: Counts

    rows = jax.tree.map(jnp.asarray, split_of(10))
    first, second = (
        jax.tree.map(lambda column: column[part], rows)  # noqa: B023
        for part in np.split(np.arange(10), 2)
    )
    collection = Evaluation.single_from_model_output(**first)
    collection = collection.merge(Evaluation.single_from_model_output(**second))
    everything = Counts.from_batch(**rows).scores(INFO)
    del everything["classes"]
    assert collection.compute()["pixels"] == everything
