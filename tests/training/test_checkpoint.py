import jax
import numpy as np
import pytest

from nucseg_jax.training.checkpoint import (
    abstract_like,
    best_score,
    open_checkpoints,
    restore_checkpoint,
    save_checkpoint,
)
from nucseg_jax.training.mesh import make_mesh, replicated


def test_a_state_comes_back_bit_by_bit_on_another_mesh_with_its_record(tmp_path, small):
    state = small().state(8)
    with open_checkpoints(tmp_path) as checkpoints:
        save_checkpoint(checkpoints, state, {"split_digest": "abc", "config": {"a": [1, 2]}}, 0.5)
    everywhere = replicated(make_mesh(2))
    with open_checkpoints(tmp_path) as checkpoints:
        step = checkpoints.latest_step()
        restored, record = restore_checkpoint(checkpoints, step, abstract_like(state, everywhere))
    assert record == {"split_digest": "abc", "config": {"a": [1, 2]}}
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert all(leaf.sharding == everywhere for leaf in jax.tree.leaves(restored))


def test_the_last_two_and_the_best_are_kept_also_over_a_restart(tmp_path, small):
    state = small().state()
    scores = [0.3, 0.9, None, 0.5, None, 0.6]
    for number, score in enumerate(scores, start=1):
        # A manager for each: whatever it knows of the past it reads from the folder.
        with open_checkpoints(tmp_path) as checkpoints:
            save_checkpoint(checkpoints, state.replace(step=state.step + number), {}, score)
    with open_checkpoints(tmp_path) as checkpoints:
        assert sorted(checkpoints.all_steps()) == [2, 5, 6]
        assert checkpoints.best_step() == 2
        assert best_score(checkpoints) == 0.9


def test_a_step_that_is_not_new_is_refused_aloud(tmp_path, small):
    state = small().state()
    with open_checkpoints(tmp_path) as checkpoints:
        save_checkpoint(checkpoints, state.replace(step=state.step + 4), {}, 0.1)
        checkpoints.wait_until_finished()
        with pytest.raises((RuntimeError, ValueError), match="4"):
            save_checkpoint(checkpoints, state.replace(step=state.step + 4), {}, 0.1)
