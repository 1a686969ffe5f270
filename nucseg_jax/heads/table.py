"""The instance heads by name; a new one is a file of this package, a row here and its losses' weights in the config."""

import jax
import jax.numpy as jnp

from nucseg_jax.config.model import HeadName
from nucseg_jax.heads.distance import DISTANCE
from nucseg_jax.heads.hover import HOVER
from nucseg_jax.heads.interfaces import Head, keep_values


def _no_targets(instance: jax.Array) -> jax.Array:
    return jnp.zeros((*instance.shape, 0), jnp.float32)


HEADS: dict[HeadName, Head] = {
    "none": Head("none", (), _no_targets, keep_values, {}),
    "hover": HOVER,
    "distance": DISTANCE,
}
