"""Both feeds give the same batches to the last bit, and the programs of both take the same step."""

import functools

import jax
import numpy as np
import pytest

from nucseg_jax.data.batches import training_batches
from nucseg_jax.data.store import reader
from nucseg_jax.runtime.mesh import make_mesh, tickets_sharded
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.device_feed import cut_tiles, device_feed, put_patches
from nucseg_jax.training.feed import fits_device
from nucseg_jax.training.host_feed import host_feed
from nucseg_jax.training.schedule import Schedule
from nucseg_jax.training.step import compile_train_steps

# Of both folds, not in their order.
ROWS = np.array([6, 0, 3])
BALANCED = np.array([0.7, 0.1, 0.2])
ORDER = dict(patch_px=256, tile_px=32, batch_size=48, seed=5)
# 3 patches of 64 tiles.
SCHEDULE = Schedule(epochs=2, steps_per_epoch=4, log_every_steps=5, checkpoint_every_steps=0)


@pytest.fixture(scope="module")
def make_feed(painted):
    """Device feeds from patches in memory, host feeds from patches on disk."""

    def make(name, *, steps_per_dispatch=1, devices=1, store="replicated", batch_size=48, **balance):
        options = {
            **ORDER,
            **balance,
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
        ("device", {"probability": BALANCED}),
        ("device", {"devices": 8, "store": "sharded", "steps_per_dispatch": 3, "probability": BALANCED}),
        ("host", {"devices": 4, "probability": BALANCED}),
        ("device", {"devices": 8, "store": "sharded", "steps_per_dispatch": 3, "crops": "random"}),
        ("device", {"probability": BALANCED, "crops": "random"}),
        ("host", {"devices": 4, "crops": "random"}),
    ],
)
def test_every_feed_gives_the_batches_of_the_reference(make_feed, painted, name, options):
    feed = make_feed(name, **options)
    assert feed.name == name
    patches = reader.read_folds(painted, [1, 2])
    for epoch, first_step in ((0, 0), (3, 2)):
        expected = list(
            training_batches(
                patches,
                ROWS,
                **ORDER,
                epoch=epoch,
                first_step=first_step,
                probability=options.get("probability"),
                crops=options.get("crops", "grid"),
            )
        )
        found = batches_of(feed, epoch, first_step)
        assert len(found) == 4 - first_step
        for one, other in zip(expected, found, strict=True):
            jax.tree.map(np.testing.assert_array_equal, one, other)
            assert [leaf.dtype for leaf in jax.tree.leaves(one)] == [
                leaf.dtype for leaf in jax.tree.leaves(other)
            ]


@pytest.fixture(scope="module")
def program(make_feed, small):
    """Feeds with their compiled steps on one device, each compiled once."""

    @functools.cache
    def of(name, steps_per_dispatch=1):
        feed = make_feed(name, steps_per_dispatch=steps_per_dispatch, batch_size=8)
        return feed, compile_train_steps(small(dropout=0.3).static, make_mesh(1), feed.fetch)

    return of


def copied(state):
    """A state of its own memory: a step takes the memory of what it is given."""
    return put_state(jax.tree.map(np.array, jax.device_get(state)), make_mesh(1))


def test_training_on_either_feed_is_the_same_also_from_the_middle_of_an_epoch(program, small):
    """To the last bit where one compiled program is given the batches of both: what they feed is equal."""
    _, steps = program("host")
    middle, ends = None, []
    for name, first_step in (("device", 0), ("host", 0), ("host", 5)):
        state, logs = middle if first_step else small(dropout=0.3).state(), []
        for step in range(first_step, 8):
            if name == "device" and step == 5:
                middle = copied(state)
            batch = batches_of(program(name)[0], *divmod(step, 4))[0]
            state, columns = steps(state, (), jax.tree.map(lambda leaf: leaf[None], batch))
            logs.append(jax.device_get(columns))
        assert state.step == 8
        ends.append((jax.device_get(state), logs[-3:]))
    for other in ends[1:]:
        jax.tree.map(np.testing.assert_array_equal, ends[0], other)


@pytest.mark.device
@pytest.mark.long
def test_the_programs_of_both_feeds_take_the_same_step(program, small):
    """Up to rounding: two programs, which XLA may order differently (optimised ones: tests/faults/test_killed.py).

    One step, because training amplifies rounding (docs/exact.md). The loss is continuous in it; the norm of
    the gradient is not where a ReLU's input is 0.
    """
    found = []
    for name in ("device", "host"):
        feed, steps = program(name)
        _, columns = steps(small(dropout=0.3).state(), feed.source, next(feed.tickets(1, 2)))
        assert {leaf.dtype for leaf in columns.values()} == {np.dtype("float32")}
        found.append({term: float(values[0]) for term, values in columns.items()})
    for term, value in found[0].items():
        assert found[1][term] == pytest.approx(value, rel=1e-2 if term == "gradient_norm" else 1e-5), term


@pytest.mark.device
def test_four_steps_a_dispatch_are_four_steps_up_to_rounding(program, small):
    """XLA orders sums otherwise inside a loop; another example or dropout mask would change the loss by a percent.

    Both dispatches start from the state of single steps, so that four steps amplify rounding and not eight.
    """
    (one, single), (four, several) = program("device"), program("device", 4)
    state = small(dropout=0.3).state()
    for epoch in range(2):
        (tickets,) = four.tickets(epoch, 0)
        together, columns = several(copied(state), four.source, tickets)
        logs = []
        for tickets in one.tickets(epoch, 0):
            state, step_columns = single(state, one.source, tickets)
            logs.append(jax.device_get(step_columns))
        for term in columns:
            values = np.concatenate([log[term] for log in logs])
            if term == "gradient_norm":
                assert columns[term][0] == pytest.approx(values[0], rel=1e-2)
            else:
                np.testing.assert_allclose(columns[term], values, rtol=1e-3, err_msg=term)
                np.testing.assert_allclose(columns[term][0], values[0], rtol=1e-5, err_msg=term)
        assert state.step == together.step == 4 * (epoch + 1)
        assert state.epoch_sums.steps == together.epoch_sums.steps
        assert state.epoch_sums.counts.sum() == together.epoch_sums.counts.sum()


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


@pytest.mark.long
def test_eight_devices_with_sharded_patches_do_what_one_does(make_feed, small):
    parts = small(dropout=0.3)
    losses = []
    for devices, store in ((1, "replicated"), (8, "sharded")):
        feed = make_feed("device", devices=devices, store=store, batch_size=8)
        steps = compile_train_steps(parts.static, make_mesh(devices), feed.fetch)
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
