import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.evaluation.training_scores import training_scores
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import TILES_WITH_NUCLEI
from nucseg_jax.runtime.mesh import make_mesh, replicated
from nucseg_jax.runtime.placement import put_batch, put_state
from nucseg_jax.training.optimizer import l2_mask, l2_penalty
from nucseg_jax.training.state import close_epoch


def run(parts, devices, steps=3):
    mesh = make_mesh(devices)
    step, state = parts.step(devices), parts.state(devices)
    history = []
    for number in range(steps):
        state, logs = step(state, put_batch(parts.batch(seed=number), mesh))
        history.append(jax.device_get(logs))
    return jax.device_get(state), history


@pytest.mark.device
def test_loss_falls_and_the_reported_terms_are_what_they_say(small):
    parts = small()
    before = parts.state()
    mesh = make_mesh(1)
    step, state = parts.step(1), parts.state()
    batch = put_batch(parts.batch(), mesh)
    history = []
    for _ in range(30):
        state, logs = step(state, batch)
        history.append(jax.device_get(logs))
    first, last = history[0], history[-1]
    assert last["dice_loss"] < first["dice_loss"] - 0.1
    expected = l2_penalty(before.params, l2_mask(before.params, "added"), 0.01)
    assert first["l2_penalty"] == pytest.approx(float(expected), rel=1e-6)
    assert first["loss"] == pytest.approx(first["dice_loss"] + first["l2_penalty"], rel=1e-6)
    assert int(state.step) == 30
    sums = jax.device_get(state.epoch_sums)
    assert sums.steps == 30
    assert sums.counts.sum() == 30 * 8 * 32 * 32
    assert sums.terms["dice_loss"] == pytest.approx(
        sum(float(logs["dice_loss"]) for logs in history), rel=1e-5
    )


@pytest.mark.long
def test_eight_devices_do_what_one_does(small):
    """Batch norm sees the whole batch, keys belong to examples: only the order of sums differs."""
    alone, alone_logs = run(small(dropout=0.3), 1)
    together, together_logs = run(small(dropout=0.3), 8)
    for limit, one, eight in zip((1e-5, 1e-4, 1e-3), alone_logs, together_logs, strict=True):
        assert one["loss"] == pytest.approx(eight["loss"], rel=limit)
    # Loose: a ReLU's input that is 0 but for rounding, and biases before a batch norm, whose gradients are rounding.
    for (path, one), eight in zip(
        jax.tree_util.tree_leaves_with_path(alone.batch_stats),
        jax.tree.leaves(together.batch_stats),
        strict=True,
    ):
        np.testing.assert_allclose(one, eight, rtol=1e-2, atol=2e-2, err_msg=str(path))


def test_equal_seeds_give_equal_bits_and_other_seeds_others(small):
    (first, _), (second, _) = run(small(dropout=0.3), 1), run(small(dropout=0.3), 1)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    kernels = [small(dropout=0.3, seed=seed).state().params["head"]["kernel"] for seed in (0, 1)]
    assert not np.array_equal(*kernels)


@pytest.mark.device
def test_padding_changes_no_loss_and_no_count(small):
    """Losses and counts of invalid rows are left out (batch norm does see their pixels)."""
    parts = small()
    mesh = make_mesh(1)
    step = parts.step(1)
    batch = parts.batch()
    half = batch.replace(valid=np.arange(8) < 4)
    other_labels = half.replace(label=np.where(np.arange(8)[:, None, None] < 4, half.label, 1 - half.label))
    results = [step(parts.state(), put_batch(b, mesh)) for b in (half, other_labels)]
    assert float(results[0][1]["dice_loss"]) == float(results[1][1]["dice_loss"])
    for state, _ in results:
        assert int(state.epoch_sums.counts.sum()) == 4 * 32 * 32


def test_a_loss_is_the_mean_over_the_valid_examples_and_so_is_its_gradient(small):
    """Four examples twice: batch norm sees the same statistics whether the copies are valid or padding."""
    parts = small()
    four = parts.batch(N=4)
    twice = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), four)
    logs = []
    for valid in (twice.valid, np.arange(8) < 4):
        _, columns = parts.step(1)(parts.state(), put_batch(twice.replace(valid=valid), make_mesh(1)))
        logs.append({term: float(value) for term, value in columns.items()})
    assert logs[0]["dice_loss"] == pytest.approx(logs[1]["dice_loss"], rel=1e-6)
    assert logs[0]["gradient_norm"] == pytest.approx(logs[1]["gradient_norm"], rel=1e-2)


def test_every_step_draws_other_dropout_masks(small):
    """Steps 0 and 1 are of one epoch, so that the augmentation is the same."""
    parts = small(dropout=0.3)
    batch, losses = put_batch(parts.batch(), make_mesh(1)), []
    for step in (0, 0, 1):
        state = parts.state()
        state = state.replace(step=jax.device_put(np.int32(step), state.step.sharding))
        losses.append(float(parts.step(1)(state, batch)[1]["dice_loss"]))
    assert losses[0] == losses[1]
    assert abs(losses[2] - losses[0]) > 1e-4


def test_scale_of_the_plateau_multiplies_the_update(small):
    parts = small()
    mesh = make_mesh(1)
    step, batch = parts.step(1), put_batch(parts.batch(), mesh)
    whole, whole_logs = step(parts.state(), batch)
    state = parts.state()
    state = state.replace(
        plateau=state.plateau._replace(scale=jax.device_put(jnp.float32(0.25), replicated(mesh)))
    )
    quarter, quarter_logs = step(state, batch)
    # That of the gradient, not of the update.
    assert quarter_logs["gradient_norm"] == whole_logs["gradient_norm"]
    start = parts.state().params["head"]["kernel"]
    np.testing.assert_allclose(
        quarter.params["head"]["kernel"] - start,
        0.25 * (whole.params["head"]["kernel"] - start),
        rtol=1e-3,
        atol=1e-8,
    )


def test_closing_an_epoch_zeroes_the_sums_and_moves_the_plateau_once(small):
    parts = small()
    mesh = make_mesh(1)
    step = parts.step(1)
    close = jax.jit(lambda state, value: close_epoch(state, parts.plateau, value))
    state, _ = step(parts.state(), put_batch(parts.batch(), mesh))
    scales = []
    for _ in range(3):
        state = close(state, jnp.float32(1.0))
        scales.append(float(state.plateau.scale))
        assert int(state.epoch_sums.steps) == 0
        assert int(state.epoch_sums.counts.sum()) == 0
    # The first value is an improvement on infinity; two more without one reach the patience of 2.
    np.testing.assert_allclose(scales, [1.0, 1.0, 0.1])


def test_dtype_bfloat16_keeps_parameters_statistics_and_loss_in_float32(small):
    parts = small(dtype=jnp.bfloat16)
    state, logs = jax.eval_shape(parts.step(1), parts.state(), parts.batch())
    floats = [leaf for leaf in jax.tree.leaves((state, logs)) if np.issubdtype(leaf.dtype, np.floating)]
    assert {leaf.dtype for leaf in floats} == {np.dtype("float32")}
    assert float(soft_dice(jnp.zeros((1, 4, 4, 1), jnp.bfloat16), jnp.ones((1, 4, 4), jnp.uint8))[0]) < 1


def test_a_donated_state_leaves_the_arrays_it_was_put_from_alone(small):
    """On CPU a device's array may lie in numpy's own memory."""
    parts = small()
    host = jax.tree.map(np.array, jax.device_get(parts.state()))
    before = jax.tree.map(np.copy, host)
    mesh = make_mesh(1)
    parts.step(1)(put_state(host, mesh), put_batch(parts.batch(), mesh))
    jax.tree.map(np.testing.assert_array_equal, host, before)


def test_a_step_gives_back_the_types_it_took(small):
    """Otherwise the second step is another program and compiles again."""
    parts = small()
    state = parts.state()
    shapes = jax.tree.map(jax.typeof, state)
    after, _ = parts.step(1)(state, put_batch(parts.batch(), make_mesh(1)))
    assert jax.tree.map(jax.typeof, after) == shapes


def test_the_loss_over_tiles_with_nuclei_is_reported_and_summed_apart(small):
    parts = small()
    mesh, step, batch = make_mesh(1), parts.step(1), parts.batch()
    tiles = np.arange(8)[:, None, None]
    without = {
        0: batch,
        2: batch.replace(label=np.where(tiles < 2, 0, batch.label).astype(np.uint8)),
        8: batch.replace(label=np.zeros_like(batch.label)),
    }
    for empty, of_batch in without.items():
        state, logs = step(parts.state(), put_batch(of_batch, mesh))
        sums = {name: float(total) for name, total in state.epoch_sums.terms.items()}
        assert sums[TILES_WITH_NUCLEI] == 8 - empty
        if empty == 8:
            assert np.isnan(logs["dice_loss_with_nuclei"])
            assert sums["dice_loss_with_nuclei"] == 0
        else:
            np.testing.assert_allclose(
                sums["dice_loss_with_nuclei"], (8 - empty) * logs["dice_loss_with_nuclei"], rtol=1e-6
            )
        # Every empty tile costs one.
        np.testing.assert_allclose(8 * logs["dice_loss"] - sums["dice_loss_with_nuclei"], empty, atol=1e-2)
    padded = without[2].replace(valid=np.arange(8) < 4)
    state, _ = step(parts.state(), put_batch(padded, mesh))
    assert float(state.epoch_sums.terms[TILES_WITH_NUCLEI]) == 2


def test_an_epoch_without_nuclei_and_one_begun_by_an_earlier_version_have_no_such_mean(small):
    parts = small()
    state = jax.device_get(parts.state())
    objective = parts.static.objective

    def scores(**terms):
        sums = state.epoch_sums.replace(steps=np.int32(4), counts=np.ones((1, 4), np.uint32))
        terms = {name: np.float32(terms.get(name, 2.0)) for name in sums.terms}
        return training_scores(sums.replace(terms=terms), objective)

    assert scores(tiles_with_nuclei=8.0)["dice_loss_with_nuclei"] == 0.25
    assert scores(tiles_with_nuclei=8.0)["dice_loss"] == 0.5
    assert TILES_WITH_NUCLEI not in scores()
    for undefined in (0.0, np.nan):
        assert scores(tiles_with_nuclei=undefined)["dice_loss_with_nuclei"] is None
