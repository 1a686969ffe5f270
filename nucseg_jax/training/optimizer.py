"""The paper's optimizer: L2 in the loss, Keras's Adam, and the learning rate lowered on a plateau."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from nucseg_jax.config.loss import L2Scope
from nucseg_jax.core.arrays import Tree
from nucseg_jax.core.tree import mask_by_name
from nucseg_jax.models.frozen_stages import frozen_mask, is_frozen


def l2_mask(params: Tree, scope: L2Scope, frozen_stages: Sequence[str] = ()) -> Tree:
    """True at the kernels that L2 acts on: of the new layers (`added`, head included) or of `all` layers.

    What is frozen has no part in it, as in Keras.
    """

    def is_regularized(name: str) -> bool:
        is_added = not name.startswith("encoder/")
        return name.endswith("/kernel") and (
            is_added or (scope == "all" and not is_frozen(name, frozen_stages))
        )

    return mask_by_name(params, is_regularized)


def l2_penalty(params: Tree, mask: Tree, l2: float) -> jax.Array:
    """l2 * sum(w^2) over the masked leaves, what Keras's kernel_regularizer=l2(l2) adds to the loss; float32 []."""
    squares = jax.tree.map(
        lambda leaf, chosen: jnp.sum(jnp.square(leaf)) if chosen else jnp.zeros(()), params, mask
    )
    return jnp.asarray(l2 * sum(jax.tree.leaves(squares)))


def scale_by_keras_adam(*, b1: float, b2: float, epsilon: float) -> optax.GradientTransformation:
    """Adam as Keras computes it (arXiv:1412.6980, the formula before section 2.1).

    Keras adds epsilon to the square root of the second moment before that is bias-corrected. In the form
    optax uses, this is an epsilon of epsilon / sqrt(1 - b2^t): 32 times larger at the first step.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        # numpy's zeros: jax.numpy would compile a program for each shape.
        mu, nu = (jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params) for _ in range(2))
        return optax.ScaleByAdamState(count=np.zeros((), np.int32), mu=mu, nu=nu)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, updates)
        correction = jnp.sqrt(1 - b2**count) / (1 - b1**count)
        scaled = jax.tree.map(lambda m, v: correction * m / (jnp.sqrt(v) + epsilon), mu, nu)
        return scaled, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


def paper_optimizer(
    *,
    lr: float,
    l2: float,
    l2_scope: L2Scope = "added",
    encoder_lr_factor: float = 1.0,
    frozen_stages: Sequence[str] = (),
    b1: float = 0.9,
    b2: float = 0.999,
    epsilon: float = 1e-7,
) -> optax.GradientTransformation:
    """Returns the optimizer of section 3 of the paper: Keras's Adam on the gradients of the loss and of l2 * sum(w^2).

    That is coupled L2, gradient 2 * l2 * w. It is not `adamw`, whose decay bypasses Adam's scaling.

        optimizer = paper_optimizer(lr=1e-4, l2=0.02)
        updates, opt_state = optimizer.update(gradient, opt_state, params)

    Args:
      lr: learning rate, >= 0; the paper's is 1e-4.
      l2: >= 0, factor on sum(w^2); the paper's is 0.02.
      l2_scope: kernels that L2 acts on: 'added' for the new layers, head included, or 'all'.
      encoder_lr_factor: factor on the encoder's learning rate.
      frozen_stages: the encoder's stages (`model.encoder.stages`) with no updates and no moments.
      b1, b2: decays of Adam's moments, between 0 and 1; Keras's defaults.
      epsilon: of Adam as Keras computes it, see `scale_by_keras_adam`.

    Returns:
      A transformation of `params` of a `Segmenter`; its `update` needs `params`.
    """
    steps = [
        optax.add_decayed_weights(2.0 * l2, lambda params: l2_mask(params, l2_scope, frozen_stages)),
        scale_by_keras_adam(b1=b1, b2=b2, epsilon=epsilon),
    ]
    # After Adam, which would take any factor on the gradient out again.
    steps += encoder_factor(encoder_lr_factor)
    return frozen_left_out(optax.chain(*steps, optax.scale(-lr)), frozen_stages)


def encoder_factor(factor: float) -> list[optax.GradientTransformation]:
    """Returns what multiplies the encoder's updates by a factor; nothing where it is 1."""
    if factor == 1.0:
        return []
    return [
        optax.masked(
            optax.scale(factor),
            lambda params: mask_by_name(params, lambda name: name.startswith("encoder/")),
        )
    ]


def frozen_left_out(
    optimizer: optax.GradientTransformation, frozen_stages: Sequence[str]
) -> optax.GradientTransformation:
    """Returns an optimizer that keeps no moments of frozen encoder stages and gives them no updates."""
    if not frozen_stages:
        return optimizer
    return optax.partition(
        {False: optimizer, True: optax.set_to_zero()}, lambda params: frozen_mask(params, frozen_stages)
    )


def plateau_schedule(
    *, factor: float, patience_epochs: int, min_delta: float, min_scale: float
) -> optax.GradientTransformationExtraArgs:
    """Keras's ReduceLROnPlateau(mode='min') as a transformation that is updated once an epoch.

    An epoch counts as an improvement when its value is below the best by more than `min_delta`, absolutely.
    After `patience_epochs` epochs without one, `state.scale` is multiplied by `factor`, not below `min_scale`.
    """
    return optax.contrib.reduce_on_plateau(
        factor=factor, patience=patience_epochs, rtol=0.0, atol=min_delta, min_scale=min_scale
    )
