import clu.metrics
import flax.struct
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import scores


def split_of(images: int, classes: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(images)
    return {
        "counts": rng.integers(0, 900, (images, classes, 4)).astype(np.int32),
        "index": np.arange(images, dtype=np.int32),
        "tissue": rng.integers(0, 4, images).astype(np.int32),
        "loss": rng.random(images, np.float32),
        "valid": np.ones(images, bool),
    }


def padded(rows: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    missing = size - len(rows["index"])
    # Padding repeats an index and holds counts: only `valid` says that it is padding.
    padding = {name: np.repeat(column[:1], missing, axis=0) for name, column in rows.items()}
    padding["valid"] = np.zeros(missing, bool)
    return {name: np.concatenate([column, padding[name]]) for name, column in rows.items()}


def equal(one: Counts, other: Counts) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("counts", "index", "tissue", "loss")
    )


@settings(max_examples=40, deadline=None)
@given(images=st.integers(1, 30), batch_size=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_batch_size_and_order_change_nothing(images: int, batch_size: int, seed: int):
    whole = split_of(images)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(images)
    parts = []
    for start in range(0, images, batch_size):
        rows = {name: column[shuffled[start : start + batch_size]] for name, column in whole.items()}
        parts.append(Counts.from_batch(**padded(rows, batch_size)))
    # Merged as a random tree, as several hosts would.
    while len(parts) > 1:
        left, right = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(left.merge(right))
    together = Counts.from_batch(**whole)
    assert equal(parts[0], together)
    assert scores(parts[0]) == scores(together)
    assert parts[0].mean_loss() == together.mean_loss()


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
    with pytest.raises(ValueError, match="tissue"):
        Counts.from_batch(**{**split_of(4), "tissue": np.zeros(3, np.int32)})
    with pytest.raises(ValueError, match=r"expected integer \[N, K, 4\]"):
        Counts.from_batch(**{**split_of(4), "counts": np.zeros((4, 1, 4), np.float32)})
    with pytest.raises(ValueError, match="classes"):
        Counts.from_batch(**split_of(2, classes=1)).merge(Counts.from_batch(**split_of(2, classes=2)))


def test_mean_loss_is_that_of_the_images_and_never_nan():
    rows = split_of(3)
    rows["loss"] = np.array([0.5, 0.25, 0.75], np.float32)
    assert Counts.from_batch(**rows).mean_loss() == 0.5
    rows["loss"][1] = np.nan
    assert Counts.from_batch(**rows).mean_loss() is None
    assert Counts.empty().mean_loss() is None


def test_works_in_a_collection_of_clu_with_arrays_of_jax():
    @flax.struct.dataclass
    class Evaluation(clu.metrics.Collection):
        pixels: Counts

    rows = {name: jnp.asarray(column) for name, column in split_of(10).items()}
    first, second = (
        {name: column[part] for name, column in rows.items()} for part in np.split(np.arange(10), 2)
    )
    collection = Evaluation.single_from_model_output(**first)
    collection = collection.merge(Evaluation.single_from_model_output(**second))
    assert collection.compute()["pixels"] == scores(Counts.from_batch(**rows))
