"""A narrow model with its step, small enough to train in a test."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.data.batch import Batch
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.optimizer import paper_optimizer, plateau_schedule
from nucseg_jax.training.state import init_state
from nucseg_jax.training.step import StaticArguments, compile_train_steps

PX = 32
GEOMETRY = AugmentConfig(flips=True, quarter_turns=True)


class Small:
    """Static arguments of a step and its compiled forms; tests share them, since compiling is what takes the time."""

    def __init__(self, static, plateau, counted_classes=1):
        self.static, self.plateau, self._counted_classes = static, plateau, counted_classes
        self.step = functools.cache(self._compile_step)
        self._variables = functools.cache(lambda: initial_variables(static.model, static.seed, px=PX))

    def state(self, devices=1):
        state = init_state(
            self._variables(),
            self.static.optimizer,
            self.plateau,
            term_names=self.static.summed_names,
            counted_classes=self._counted_classes,
            with_ema=self.static.ema_decay > 0,
        )
        return put_state(state, make_mesh(devices))

    def _compile_step(self, devices):
        """One step on a batch, logs without their axis of steps."""
        steps = compile_train_steps(self.static, make_mesh(devices), lambda source, ticket: ticket)

        def step(state, batch):
            state, logs = steps(state, (), jax.tree.map(lambda leaf: leaf[None], batch))
            return state, {term: values[0] for term, values in logs.items()}

        return jax.jit(step, donate_argnums=0)

    @staticmethod
    def batch(N=8, seed=0):
        rng = np.random.default_rng(seed)
        # Blocks of 8 px, so that a decoder at stride 4 can draw their borders.
        blocks = rng.integers(0, 256, (N, PX // 8, PX // 8, 3), dtype=np.uint8)
        image = blocks.repeat(8, axis=1).repeat(8, axis=2)
        return Batch(
            image=image,
            label=(image[..., 0] > 160).astype(np.uint8),
            valid=np.ones(N, bool),
            index=np.arange(N, dtype=np.int32),
            group=np.zeros(N, np.int32),
        )


@functools.cache
def make_small(
    dropout=0.0,
    l2=0.01,
    l2_scope="added",
    lr=1e-3,
    seed=0,
    augmentation=GEOMETRY,
    dtype=jnp.float32,
    encoder="resnet50",
    encoder_depths=(1, 1, 1),
    frozen_stages=(),
    frozen_statistics=(),
    encoder_lr_factor=1.0,
):
    model = build_segmenter(
        encoder=encoder,
        decoder="deeplabv3plus",
        num_classes=1,
        dropout=dropout,
        width=0.125,
        encoder_depths=encoder_depths,
        moving=MovingStatistics(0.9),
        dtype=dtype,
    )
    return Small(
        static=StaticArguments(
            model=model.clone(encoder=model.encoder.clone(frozen_statistics=frozen_statistics)),
            objective=Objective({"dice_loss": Term(1.0, soft_dice, is_ratio=True)}),
            optimizer=paper_optimizer(
                lr=lr,
                l2=l2,
                l2_scope=l2_scope,
                encoder_lr_factor=encoder_lr_factor,
                frozen_stages=frozen_stages,
            ),
            l2=l2,
            l2_scope=l2_scope,
            frozen_stages=frozen_stages,
            augmentation=augmentation,
            seed=seed,
            steps_per_epoch=4,
        ),
        plateau=plateau_schedule(factor=0.1, patience_epochs=2, min_delta=1e-4, min_scale=1e-3),
    )


@pytest.fixture(scope="session")
def small():
    return make_small
