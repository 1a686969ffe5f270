import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.examples import (
    Examples,
    examples_path,
    ranked_positions,
    read_examples,
    spread_positions,
    write_examples,
)


def examples_of(count: int) -> Examples:
    rng = np.random.default_rng(count)
    numbers = {
        name: rng.integers(0, 9, count).astype(np.int32)
        for name in ("position", "fold", "row", "group", "top", "left")
    }
    masks = {name: rng.random((count, 8, 8)) < 0.5 for name in ("truth", "prediction", "void")}
    return Examples(
        **numbers,
        **masks,
        chosen=rng.permutation(np.array(["spread", "best", "worst"] * count)[:count]),
        source=np.array([f"slide{number}.png" for number in range(count)], np.str_),
        image=rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8),
        probability=rng.integers(0, 256, (count, 8, 8), dtype=np.uint8),
    )


def test_round_trip_and_choice(tmp_path):
    examples = examples_of(9)
    path = examples_path(tmp_path, "test")
    write_examples(path, examples)
    read = read_examples(path, PANNUKE)
    assert read.nuclei is examples.nuclei is None
    for found, expected in zip(read[:-1], examples[:-1], strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    np.testing.assert_array_equal(read.only("best").image, examples.image[examples.chosen == "best"])
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_earlier_versions_have_every_pixel_annotated(tmp_path):
    path = examples_path(tmp_path, "test")
    older = examples_of(3)._asdict()
    del older["void"], older["nuclei"]
    np.savez_compressed(path, **older)
    read = read_examples(path, PANNUKE)
    assert not read.void.any()
    np.testing.assert_array_equal(read.truth, older["truth"])


def test_a_damaged_file_is_named(tmp_path):
    path = examples_path(tmp_path, "test")
    with pytest.raises(UserError, match="does not exist"):
        read_examples(path, PANNUKE)
    write_examples(path, examples_of(3))
    whole = path.read_bytes()
    np.savez(tmp_path / "other.npz", image=np.zeros(3))
    for damaged in (b"", whole[: len(whole) // 2], (tmp_path / "other.npz").read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be read"):
            read_examples(path, PANNUKE)


def test_best_and_worst_are_those_of_all_patches_with_nuclei():
    # Dice .5, undefined (no truth, false positives), 1, 0, .5.
    cells = [[1, 1, 1, 5], [0, 3, 0, 5], [4, 0, 0, 4], [0, 0, 2, 6], [2, 2, 2, 2]]
    counts = Counts.from_batch(
        counts=np.array(cells, np.int32)[:, None],
        index=np.arange(5),
        group=np.zeros(5, np.int32),
        losses={},
        valid=np.ones(5, bool),
    )
    best, worst = ranked_positions(counts, 2)
    assert (best.tolist(), worst.tolist()) == ([2, 0], [3, 0])
    best, worst = ranked_positions(counts, 9)
    assert (best.tolist(), worst.tolist()) == ([2, 0, 4, 3], [3, 0, 4, 2])


def test_spread_positions_have_both_ends():
    assert spread_positions(90, 6).tolist() == [0, 18, 36, 53, 71, 89]
    assert spread_positions(3, 6).tolist() == [0, 1, 2]
    assert spread_positions(5, 1).tolist() == [0]
