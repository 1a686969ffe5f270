"""Where patches wait follows from memory, unless the config says so."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.cli.train import split_lines
from nucseg_jax.core.errors import UserError
from nucseg_jax.data import prepared
from nucseg_jax.data.prepared import plan_data
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.experiment import choose_feed, make_training_feed, read_experiment
from nucseg_jax.training.schedule import Schedule
from tests.data.indexes import make_index, patients

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
    assert choose_feed(parts, plan, mesh) == expected
    data = plan.read() if expected == "device" else plan.open()
    feed = make_training_feed(parts, data, mesh, SCHEDULE)
    assert feed.name == expected
    tickets = next(feed.tickets(0, 0))
    batch = feed.fetch(feed.source, jax.tree.map(lambda leaf: leaf[0], tickets))
    assert batch.image.shape == (8, 64, 64, 3)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_both_feeds_of_an_experiment_give_the_same_examples(painted, sampling):
    batches = []
    for name in ("device", "host"):
        config = quickstart.get_config()
        config.mesh.data, config.data.sampling = 1, sampling
        config.train.update(feed=name, steps_per_dispatch=4)
        parts = read_experiment(config)
        data = plan_data(painted, parts.splits).read()
        feed = make_training_feed(parts, data, parts.make_mesh(256), SCHEDULE)
        sizes = []
        for tickets in feed.tickets(1, 3):
            sizes.append(len(jax.tree.leaves(tickets)[0]))
            batch = feed.fetch(feed.source, jax.tree.map(lambda leaf: leaf[-1], tickets))
        assert sizes == [4, 1, 1, 1]
        batches.append(jax.device_get(batch))
    jax.tree.map(np.testing.assert_array_equal, *batches)
    assert (batches[0].index.max() >= 5 * 16) == (sampling == "balanced")


def test_every_augmentation_of_the_config_reaches_the_step():
    config = quickstart.get_config()
    config.augment.hue = 0.25
    config.augment.flips = False
    parts = read_experiment(config)
    how = parts.static_arguments(steps_per_epoch=1).augmentation
    assert dataclasses.asdict(how) == dataclasses.asdict(parts.config.augment)
    assert (how.hue, how.flips) == (0.25, False)


def divided(monkeypatch, tmp_path, *, near_duplicates=(), used=SPLIT_NAMES, **fields):
    """The plan of a config on a data set of eight patients that lies nowhere."""
    images = patients()
    index, info = make_index(images)
    pairs = np.asarray(near_duplicates, np.int32).reshape(-1, 4)
    dataset = StoredDataset(tmp_path, info, index, "d" * 64, pairs)
    monkeypatch.setattr(prepared, "open_dataset", lambda data_dir: dataset)
    config = quickstart.get_config()
    for name, value in fields.items():
        section, field = name.split("__")
        config[section][field] = value
    return read_experiment(config).plan(used)


def test_every_protocol_takes_its_fields_from_the_config(monkeypatch, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("image,side\n" + "\n".join(f"p{number},{number % 4}" for number in range(8)))
    for fields, note in (
        (
            {"protocol": "k_fold", "folds": 4, "number": 3, "seed": 2},
            "test is fold 3 of 4, validation fold 4",
        ),
        ({"protocol": "k_fold", "folds": 0, "number": 8}, "test is p7 of 8, validation p0"),
        (
            {"protocol": "table", "table": str(table), "column": "side", "number": 2},
            "test is fold 1 of 4, validation fold 2",
        ),
    ):
        plan = divided(monkeypatch, tmp_path, **{f"split__{name}": value for name, value in fields.items()})
        lines = split_lines(plan, fields["protocol"])
        assert lines[-1] == f"split     {note}"
        assert lines[0].startswith("patches   train ")
        assert f"({fields['protocol']} split {plan.splits.digest[:12]})" in lines[0]
        counts = [int(number) for number in re.findall(r"\d+", lines[1])]
        assert sum(counts[:3]) == counts[3] == 8
    seeds = [
        divided(monkeypatch, tmp_path, split__protocol="k_fold", split__seed=seed).splits.digest
        for seed in (0, 1)
    ]
    assert seeds[0] != seeds[1]
    with pytest.raises(UserError, match=r"pieces of \d+ images: each would stand on all sides"):
        divided(monkeypatch, tmp_path, split__protocol="paper")
    plan = divided(monkeypatch, tmp_path, split__protocol="paper", split__allow_shared_groups=True)
    assert len(plan.splits.train) + len(plan.splits.validation) + len(plan.splits.test) == len(
        plan.dataset.index.fold
    )
    with pytest.raises(UserError, match=r"official, and the patches .* have no divisions"):
        divided(monkeypatch, tmp_path)


def test_near_duplicates_are_refused_on_two_sides_unless_allowed(monkeypatch, tmp_path):
    fields = {"split__protocol": "k_fold", "split__folds": 4}
    splits = divided(monkeypatch, tmp_path, **fields).splits
    pair = [*splits.train[0], *splits.test[0]]
    with pytest.raises(UserError, match="1 pair of patches that look the same"):
        divided(monkeypatch, tmp_path, near_duplicates=pair, **fields)
    divided(monkeypatch, tmp_path, near_duplicates=pair, **fields, data__allow_duplicates=True)
    divided(monkeypatch, tmp_path, near_duplicates=[*splits.train[0], *splits.train[1]], **fields)


def test_an_empty_side_is_refused_with_numbers(monkeypatch, tmp_path):
    divisions = {image: "test" if group == "p0" else "validation" for image, (group, _) in patients().items()}
    table = tmp_path / "table.csv"
    table.write_text("image,fold\n" + "\n".join(f"{image},{side}" for image, side in divisions.items()))
    with pytest.raises(UserError, match=r"leaves a side without a patch: train 0, validation \d+, test \d+"):
        divided(monkeypatch, tmp_path, split__protocol="table", split__table=str(table))
    # `evaluate` uses one alone.
    divided(monkeypatch, tmp_path, used=["test"], split__protocol="table", split__table=str(table))


def test_the_rows_of_whole_patches_are_split_evenly_whatever_their_size():
    config = quickstart.get_config()
    config.mesh.space, config.train.tile_px = 4, 128
    parts = read_experiment(config)
    assert parts.make_mesh(256).shape["space"] == parts.make_mesh(512).shape["space"] == 4
    with pytest.raises(UserError, match="an image of 160 px has 10 rows"):
        parts.make_mesh(160)
