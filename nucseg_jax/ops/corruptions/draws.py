"""Random draws of a corruption, from (content of the image, kind, severity) alone.

    image --SHA-256--> digest --with kind and severity, SHA-256--> key [2] --threefry--> signs, angles, noise

Neither the batch, the order, the number of devices nor the other kinds of a run can change a draw.
"""

import hashlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def content_digests(image: np.ndarray) -> list[bytes]:
    """Returns the SHA-256 of the shape and the pixels of each image, uint8 [N, H, W, 3]: N digests of 32 bytes."""
    return [
        hashlib.sha256(repr(one.shape).encode() + np.ascontiguousarray(one).data).digest() for one in image
    ]


def cell_keys(contents: Sequence[bytes], kind: str, severity: int) -> np.ndarray:
    """Returns the data of a random key for each image in one cell.

    Args:
      contents: N digests of `content_digests`.
      kind: name of the corruption.
      severity: 1..5.

    Returns:
      uint32 [N, 2].
    """
    cell = f" {kind} {severity}".encode()
    first = b"".join(hashlib.sha256(content + cell).digest()[:8] for content in contents)
    return np.frombuffer(first, ">u4").astype(np.uint32).reshape(-1, 2)


def typed_keys(data: jax.Array) -> jax.Array:
    """Returns typed keys [N] of key data, uint32 [N, 2]."""
    keys: jax.Array = jax.random.wrap_key_data(data, impl="threefry2x32")
    return keys


def drawn_signs(keys: jax.Array, count: int) -> jax.Array:
    """Draws -1 or 1, equally likely.

    Args:
      keys: typed random keys [N].
      count: signs for each image.

    Returns:
      float32 [N, count].
    """
    return jax.vmap(lambda key: jax.random.rademacher(key, (count,), jnp.float32))(keys)
