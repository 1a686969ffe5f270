"""A training step with an instance head: its targets follow the augmentation, and all of its outputs are trained."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.config.loss import LossConfig
from nucseg_jax.config.model import ModelConfig
from nucseg_jax.core.tree import leaf_name
from nucseg_jax.data.batch import Batch
from nucseg_jax.heads.table import HEADS
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.ops.augment.augmentation import augment
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch
from nucseg_jax.training.loss_terms import make_objective
from nucseg_jax.training.step import compile_train_steps
from tests.heads.decoding.perfect_maps import touching_discs
from tests.training.conftest import PX, Small, make_small

CLASSES = 3
AUGMENT = AugmentConfig(flips=True, quarter_turns=True)


@functools.cache
def small_with(head: str) -> Small:
    parts = make_small()
    model = build_segmenter(
        encoder="resnet50",
        decoder="unet",
        num_classes=CLASSES,
        dropout=0.0,
        head=head,
        width=0.125,
        encoder_depths=(1, 1, 1),
        moving=MovingStatistics(0.9),
    )
    config = ModelConfig(head=head, num_classes=CLASSES)
    static = dataclasses.replace(
        parts.static,
        model=model,
        head=HEADS[head],
        objective=make_objective(LossConfig(cross_entropy=1.0), config, reduce="image"),
        augmentation=AUGMENT,
    )
    return Small(static, parts.plateau, counted_classes=CLASSES)


def batch_of(N: int = 4) -> Batch:
    """Discs of two classes, dark on bright."""
    instance = np.stack([touching_discs(seed, size=PX, count=6) for seed in range(N)]).astype(np.uint16)
    label = np.where(instance > 0, 1 + instance % 2, 0).astype(np.uint8)
    image = np.where(instance[..., None] > 0, 60 + 40 * (label[..., None] == 2), 220).repeat(3, axis=-1)
    index = np.arange(N, dtype=np.int32)
    return Batch(
        image=image.astype(np.uint8),
        label=label,
        valid=index >= 0,
        index=index,
        group=index * 0,
        instance=instance,
    )


def test_targets_are_those_of_the_image_as_it_was_moved():
    """The maps' losses of a step are those of its own outputs, and of targets of the augmented ids."""
    parts, batch = small_with("hover"), batch_of()
    static, start = parts.static, parts.state()
    variables = jax.tree.map(np.array, jax.device_get(start.variables))
    _, logs = parts.step(1)(start, put_batch(batch, make_mesh(1)))
    image, (label, instance) = augment(
        batch.image,
        (batch.label, batch.instance),
        batch.index,
        how=AUGMENT,
        seed=static.seed,
        epoch=np.int32(0),
    )
    assert not np.array_equal(instance, batch.instance)
    np.testing.assert_array_equal(np.asarray(label) > 0, np.asarray(instance) > 0)
    forward = jax.jit(
        lambda image: static.model.apply(
            variables, image, train=True, mutable=["batch_stats"], method="outputs"
        )[0]
    )
    outputs = forward(image)
    for name, loss in static.head.losses.items():
        moved, unmoved = (
            float(np.mean(loss(outputs.maps, static.head.target_maps(ids), None)))
            for ids in (instance, batch.instance)
        )
        # An untrained model is hardly worse on maps that lie wrong; two programs round differently.
        assert abs(float(logs[name]) - moved) < 0.1 * abs(unmoved - moved), name


def test_every_output_is_trained_and_every_loss_falls():
    parts, batch = small_with("hover"), put_batch(batch_of(), make_mesh(1))
    state = parts.state()
    before = jax.device_get(state.params)["head"]
    history = []
    for _ in range(12):
        state, logs = parts.step(1)(state, batch)
        history.append({name: float(value) for name, value in logs.items()})
    assert history[0].keys() >= {"class_cross_entropy_loss", "class_dice_loss", *HEADS["hover"].losses}
    for name in HEADS["hover"].losses:
        assert history[-1][name] < history[0][name], name
    for path, leaf in jax.tree_util.tree_leaves_with_path(before):
        moved = np.asarray(state.params["head"][leaf_name(path)]) != leaf
        # All channels: nucleus logit, both maps, background and classes.
        assert moved.reshape(-1, 1 + 2 + CLASSES).any(axis=0).all()


def test_a_batch_without_ids_is_refused_before_anything_is_compiled():
    static = small_with("distance").static
    steps = compile_train_steps(static, make_mesh(1), lambda source, ticket: ticket)
    batch = jax.tree.map(lambda leaf: leaf[None], batch_of().replace(instance=None))
    with pytest.raises(ValueError, match="needs instance ids"):
        steps.lower(small_with("distance").state(), (), batch)
