"""Where patches wait follows from memory, unless the config says so."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.core.errors import UserError
from nucseg_jax.data import prepared
from nucseg_jax.data.prepared import plan_data
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.experiment import read_experiment
from nucseg_jax.training.schedule import Schedule

SCHEDULE = Schedule(epochs=1, steps_per_epoch=10, log_every_steps=5, checkpoint_every_steps=0)
# On one CPU device: three folds of five patches, and the training fold again for the device.
NEEDED = 20 * PANNUKE.bytes_per_patch


def experiment(**train):
    config = quickstart.get_config()
    config.mesh.data = 1
    config.train.update(train)
    return read_experiment(config)


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ("auto", 2 * NEEDED, "device"),
        ("auto", 2 * NEEDED - 2, "host"),
        ("auto", None, "device"),
        ("device", 0, "device"),
        ("host", 10**12, "host"),
    ],
)
def test_the_feed_that_fits_is_chosen_and_built(painted, monkeypatch, asked, available, expected):
    monkeypatch.setattr(prepared, "available_host_bytes", lambda: available)
    parts = experiment(feed=asked)
    plan, mesh = plan_data(painted, parts.splits), parts.make_mesh(256)
    assert parts.choose_feed(plan, mesh) == expected
    data = plan.read() if expected == "device" else plan.open()
    feed = parts.training_feed(data, mesh, SCHEDULE)
    assert feed.name == expected
    tickets = next(feed.tickets(0, 0))
    batch = feed.fetch(feed.source, jax.tree.map(lambda leaf: leaf[0], tickets))
    assert batch.image.shape == (8, 64, 64, 3)


def test_both_feeds_of_an_experiment_give_the_same_examples(painted):
    batches = []
    for name in ("device", "host"):
        parts = experiment(feed=name, steps_per_dispatch=4)
        data = plan_data(painted, parts.splits).read()
        feed = parts.training_feed(data, parts.make_mesh(256), SCHEDULE)
        sizes = []
        for tickets in feed.tickets(1, 3):
            sizes.append(len(jax.tree.leaves(tickets)[0]))
            batch = feed.fetch(feed.source, jax.tree.map(lambda leaf: leaf[-1], tickets))
        assert sizes == [4, 1, 1, 1]
        batches.append(jax.device_get(batch))
    jax.tree.map(np.testing.assert_array_equal, *batches)


def test_every_augmentation_of_the_config_reaches_the_step():
    config = quickstart.get_config()
    config.augment.hue = 0.25
    config.augment.flips = False
    parts = read_experiment(config)
    how = parts.recipe(steps_per_epoch=1).augmentation
    assert dataclasses.asdict(how) == dataclasses.asdict(parts.settings.augment)
    assert (how.hue, how.flips) == (0.25, False)


def test_the_rows_of_whole_patches_are_split_evenly_whatever_their_size():
    config = quickstart.get_config()
    config.mesh.space = 4
    parts = read_experiment(config)
    assert parts.make_mesh(256).shape["space"] == parts.make_mesh(512).shape["space"] == 4
    with pytest.raises(UserError, match="an image of 160 px has 10 rows"):
        parts.make_mesh(160)
