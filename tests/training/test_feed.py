"""Both feeds give the same examples, and training on either is the same to the last bit."""

import jax
import numpy as np
import pytest

from nucseg_jax.data.batches import training_batches
from nucseg_jax.data.pannuke import reader
from nucseg_jax.training.device_feed import cut_tiles, device_feed, put_patches
from nucseg_jax.training.feed import fits_device
from nucseg_jax.training.host_feed import host_feed
from nucseg_jax.training.mesh import make_mesh, tickets_sharded
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.step import compile_train_steps

# Of both folds, not in their order.
ROWS = np.array([6, 0, 3])
ORDER = dict(tile_px=32, batch_size=48, seed=5)
# 3 patches of 64 tiles.
SCHEDULE = Schedule(epochs=2, steps_per_epoch=4, log_every_steps=5, checkpoint_every_steps=0)


@pytest.fixture(scope="module")
def make_feed(painted):
    """Device feeds from patches in memory, host feeds from patches on disk."""

    def make(name, *, steps_per_dispatch=1, devices=1, store="replicated", batch_size=48):
        options = {
            **ORDER,
            "batch_size": batch_size,
            "schedule": SCHEDULE,
            "steps_per_dispatch": steps_per_dispatch,
            "mesh": make_mesh(devices),
        }
        if name == "device":
            return device_feed(reader.read_folds(painted, [1, 2]), ROWS, store=store, **options)
        return host_feed(reader.open_folds(painted, [1, 2]), ROWS, **options)

    return make


def batches_of(feed, epoch, first_step=0):
    """Every step's batch on the host."""
    fetch = jax.jit(feed.fetch)
    return [
        jax.device_get(fetch(feed.source, jax.tree.map(lambda leaf, step=step: leaf[step], tickets)))
        for tickets in feed.tickets(epoch, first_step)
        for step in range(len(jax.tree.leaves(tickets)[0]))
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("device", {}),
        ("device", {"devices": 8}),
        ("device", {"devices": 8, "store": "sharded"}),
        ("device", {"steps_per_dispatch": 3}),
        ("host", {}),
        ("host", {"devices": 4, "steps_per_dispatch": 3}),
    ],
)
def test_every_feed_gives_the_batches_of_the_reference(make_feed, painted, name, options):
    feed = make_feed(name, **options)
    assert feed.name == name
    patches = reader.read_folds(painted, [1, 2])
    for epoch, first_step in ((0, 0), (3, 2)):
        expected = list(training_batches(patches, ROWS, **ORDER, epoch=epoch, first_step=first_step))
        found = batches_of(feed, epoch, first_step)
        assert len(found) == 4 - first_step
        for one, other in zip(expected, found, strict=True):
            jax.tree.map(np.testing.assert_array_equal, one, other)
            assert [leaf.dtype for leaf in jax.tree.leaves(one)] == [
                leaf.dtype for leaf in jax.tree.leaves(other)
            ]


def train(parts, feed, *, first_step=0, state=None):
    """Two epochs, or what is left of them; the last state and all logs on the host."""
    steps = compile_train_steps(parts.recipe, make_mesh(1), feed.fetch)
    state, logs = parts.state() if state is None else state, []
    for epoch in range(first_step // 4, 2):
        for tickets in feed.tickets(epoch, max(0, first_step - 4 * epoch)):
            state, columns = steps(state, feed.source, tickets)
            assert {leaf.dtype for leaf in columns.values()} == {np.dtype("float32")}
            logs.append(jax.device_get(columns))
    return jax.device_get(state), {term: np.concatenate([log[term] for log in logs]) for term in logs[0]}


def test_training_on_either_feed_is_the_same_also_from_the_middle_of_an_epoch(make_feed, small):
    """To the last bit with optimised programs (tests/faults/test_killed.py), else up to rounding."""
    parts = small(dropout=0.3)
    on_device, on_host = make_feed("device", batch_size=8), make_feed("host", batch_size=8)
    state, logs = train(parts, on_device)
    for resumed_at in (0, 5):
        if resumed_at:
            before = train_until(parts, on_device, resumed_at)
            again, again_logs = train(parts, on_host, first_step=resumed_at, state=before)
        else:
            again, again_logs = train(parts, on_host)
        assert again.step == state.step == 8
        for term, values in again_logs.items():
            np.testing.assert_allclose(values, logs[term][resumed_at:], rtol=1e-2, err_msg=term)
            np.testing.assert_allclose(values[:2], logs[term][resumed_at:][:2], rtol=1e-4, err_msg=term)


def train_until(parts, feed, last):
    """The state after `last` single steps."""
    steps = compile_train_steps(parts.recipe, make_mesh(1), feed.fetch)
    state = parts.state()
    for step in range(last):
        state, _ = steps(state, feed.source, next(feed.tickets(*divmod(step, 4))))
    return state


def test_four_steps_a_dispatch_are_four_steps_up_to_rounding(make_feed, small):
    """XLA orders sums otherwise inside a loop; another example or dropout mask would change the loss by a percent."""
    parts = small(dropout=0.3)
    single, single_logs = train(parts, make_feed("device", batch_size=8))
    several, several_logs = train(parts, make_feed("device", steps_per_dispatch=4, batch_size=8))
    np.testing.assert_allclose(single_logs["loss"], several_logs["loss"], rtol=1e-3)
    for term, values in single_logs.items():
        np.testing.assert_allclose(values[:2], several_logs[term][:2], rtol=1e-5, err_msg=term)
    assert single.step == several.step == 8
    assert single.epoch_sums.steps == several.epoch_sums.steps
    assert single.epoch_sums.counts.sum() == several.epoch_sums.counts.sum()


def test_sharded_patches_are_never_gathered_whole(make_feed):
    """Each device looks up what it has, and they exchange a batch."""
    mesh = make_mesh(8)
    feed = make_feed("device", devices=8, store="sharded")
    assert feed.source.image.sharding.shard_shape(feed.source.image.shape)[0] == 1
    ticket = next(feed.tickets(0, 0))[0]
    compiled = jax.jit(feed.fetch).lower(feed.source, ticket).compile()
    a_batch = 48 * 32 * 32 * 4
    assert feed.source.image.nbytes > 5 * a_batch
    assert compiled.memory_analysis().temp_size_in_bytes < 3 * a_batch
    assert tickets_sharded(mesh).shard_shape((1, 48)) == (1, 6)


def test_eight_devices_with_sharded_patches_do_what_one_does(make_feed, small):
    parts = small(dropout=0.3)
    losses = []
    for devices, store in ((1, "replicated"), (8, "sharded")):
        feed = make_feed("device", devices=devices, store=store, batch_size=8)
        steps = compile_train_steps(parts.recipe, make_mesh(devices), feed.fetch)
        _, logs = steps(parts.state(devices), feed.source, next(feed.tickets(0, 0)))
        losses.append(float(logs["loss"][0]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_whole_patches_are_tiles_of_256_px(painted):
    patches = reader.read_folds(painted, [1])
    source = put_patches(patches, np.arange(5), make_mesh(1), store="replicated")
    batch = jax.jit(cut_tiles, static_argnames="tile_px")(source, np.array([3, 1], np.int32), tile_px=256)
    np.testing.assert_array_equal(batch.image, patches.image[[3, 1]])
    np.testing.assert_array_equal(batch.label, patches.label[[3, 1]])


def test_a_device_takes_a_quarter_of_what_it_says_it_has():
    class Device:
        def __init__(self, limit):
            self.limit = limit

        def memory_stats(self):
            return self.limit and {"bytes_limit": self.limit}

    assert fits_device(25, [Device(100), Device(200)])
    assert not fits_device(26, [Device(100), Device(200)])
    assert fits_device(10**15, [Device(None)])
