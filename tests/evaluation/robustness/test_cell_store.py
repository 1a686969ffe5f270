"""What is kept is given back, and nothing else is."""

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed, unsealed
from nucseg_jax.core.strict_json import read_json
from nucseg_jax.evaluation.calibration import no_levels
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cell_store import CellStore
from nucseg_jax.evaluation.robustness.cells import CLEAN, Cell
from nucseg_jax.evaluation.split_scores import SplitScores

NOISE = Cell("noise", 2)


@pytest.fixture
def store(tmp_path) -> CellStore:
    return CellStore(tmp_path / "cells", {"split": "test", "step": 8})


def scores() -> CellScores:
    return CellScores(dict.fromkeys(COLUMNS) | {"dice_micro": 0.1 + 0.2}, np.arange(12).reshape(3, 4))


def test_a_cell_comes_back_to_the_last_digit_and_a_missing_one_is_none(store):
    assert store.read(NOISE) is None
    store.write(NOISE, scores())
    found = store.read(NOISE)
    assert found.scores == scores().scores
    np.testing.assert_array_equal(found.counts, scores().counts)
    assert store.read(CLEAN) is None
    store.require_same()


def test_cells_of_something_else_are_refused_by_what_differs(store):
    store.require_same()
    store.write(NOISE, scores())
    with pytest.raises(UserError, match=r"another run, split, number of views or package: step: 8 -> 9\n"):
        CellStore(store.folder, {"split": "test", "step": 9}).require_same()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cell": "noise_2"}'])
@pytest.mark.parametrize("name", ["about.json", "noise_2.json"])
def test_a_damaged_file_is_named(store, name, content):
    store.write(NOISE, scores())
    (store.folder / name).write_text(content)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        store.read(NOISE) if name != "about.json" else store.require_same()


def test_a_cell_of_another_strength_is_refused(store):
    """As a package with another table would have written it."""
    store.write(NOISE, scores())
    path = store.folder / "noise_2.json"
    write_json(path, sealed({**unsealed(read_json(path)), "value": 9}))
    with pytest.raises(UserError, match="its value is 9, and not 8"):
        store.read(NOISE)


def test_scores_are_those_of_results_json_with_those_of_nuclei_where_there_are_any():
    result = {
        "micro": {"dice": 0.8, "iou": 0.7},
        "image_skip": {"dice": 0.6, "iou": None},
        "instances": {"image": {"bpq": 0.5}, "pooled": {"bpq": 0.1, "detection_f1": 0.4}},
    }
    levels = no_levels()
    # Of a hundred pixels at probability 1 eighty are nucleus.
    levels[255] = [20, 80]
    counts = Counts.from_batch(
        counts=np.arange(8).reshape(2, 1, 4), index=[0, 1], group=[0, 0], losses={}, valid=[True, True]
    )
    found = CellScores.of(SplitScores(counts, levels, result))
    assert found.scores == pytest.approx(
        {
            **{"dice_micro": 0.8, "iou_micro": 0.7, "dice_image": 0.6, "iou_image": None},
            **{"bpq_image": 0.5, "mpq_image": None, "detection_f1_pooled": 0.4, "calibration_error": 0.2},
        }
    )
    assert found.counts.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
