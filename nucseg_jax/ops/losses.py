"""Segmentation losses: `loss(logits, label, valid_px) -> float32 [N]`, a number for each image; jit-able.

    loss = soft_dice(logits, label).mean()
    loss = (0.5 * cross_entropy(logits, label, label != 255) + tversky(logits, label, label != 255)).mean()

Notation: logits [N, H, W, C]; label uint8 [N, H, W], 0 = background; F foreground classes (1 when C = 1, else
C - 1); p and g, the foreground's probability and truth, [N, H, W, F]. The mean over the batch is the caller's. All
compute in float32, or in float64 for float64 logits.

valid_px, bool [N, H, W], False = nobody annotated the pixel: a loss is that of the other pixels alone, whatever logits
and label are there, and 0 for an image that has none. None = every pixel counts, and nothing more is computed.

Those that are ratios of sums over pixels (`soft_dice`, `plain_dice`, `tversky`) take `reduce`: 'image' forms the
ratio for each image, 'batch' once for all images together, every image then having that number; and `smooth` > 0,
which keeps the ratio defined on empty patches: empty and predicted empty costs nothing, empty with any prediction
almost 1. With several foreground classes they are the plain mean over them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from nucseg_jax.ops.probability import foreground_probability, foreground_truth

Loss = Callable[[jax.Array, jax.Array, jax.Array | None], jax.Array]


def soft_dice(
    logits: jax.Array,
    label: jax.Array,
    valid_px: jax.Array | None = None,
    *,
    reduce: str = "image",
    smooth: float = 1e-6,
) -> jax.Array:
    """Computes eq. 4 of the paper, read as 1 - (2 sum pg + smooth) / (sum p^2 + sum g^2 + smooth) of the foreground.

    Its squares are those of V-Net (arXiv:1606.04797). Eq. 4 prints class weights that it does not define.

    Args:
      logits: floating [N, H, W, C], C = 1 or background first.
      label: uint8 [N, H, W], 0..C-1 (any positive number is nucleus when C = 1).
      valid_px, reduce, smooth: see the top of this file.

    Returns:
      float32 [N], 0..1; all equal when `reduce` is 'batch'.
    """
    p, g, axes = _foreground(logits, label, valid_px, reduce)
    overlap = jnp.sum(p * g, axes)
    total = jnp.sum(jnp.square(p), axes) + jnp.sum(g, axes)
    return _one_minus_ratio(2.0 * overlap, total, smooth, images=len(logits))


def plain_dice(
    logits: jax.Array,
    label: jax.Array,
    valid_px: jax.Array | None = None,
    *,
    reduce: str = "image",
    smooth: float = 1e-6,
) -> jax.Array:
    """Computes soft Dice without squares, 1 - (2 sum pg + smooth) / (sum p + sum g + smooth).

    Args:
      logits, label, valid_px, reduce, smooth: as in `soft_dice`.

    Returns:
      float32 [N], 0..1; all equal when `reduce` is 'batch'.
    """
    p, g, axes = _foreground(logits, label, valid_px, reduce)
    return _one_minus_ratio(
        2.0 * jnp.sum(p * g, axes), jnp.sum(p, axes) + jnp.sum(g, axes), smooth, images=len(logits)
    )


def tversky(
    logits: jax.Array,
    label: jax.Array,
    valid_px: jax.Array | None = None,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    reduce: str = "image",
    smooth: float = 1e-6,
) -> jax.Array:
    """Computes 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) of soft counts (arXiv:1706.05721, eq. 1 and 2).

    TP = sum pg, FP = sum p(1 - g), FN = sum (1 - p)g; alpha = beta = 0.5 is `plain_dice` with twice the smooth.

    Args:
      logits, label, valid_px, reduce, smooth: as in `soft_dice`.
      alpha: >= 0, weight of false positives.
      beta: >= 0, weight of false negatives.

    Returns:
      float32 [N], 0..1; all equal when `reduce` is 'batch'.
    """
    p, g, axes = _foreground(logits, label, valid_px, reduce)
    overlap = jnp.sum(p * g, axes)
    wrong = alpha * jnp.sum(p * (1.0 - g), axes) + beta * jnp.sum((1.0 - p) * g, axes)
    return _one_minus_ratio(overlap, overlap + wrong, smooth, images=len(logits))


def cross_entropy(logits: jax.Array, label: jax.Array, valid_px: jax.Array | None = None) -> jax.Array:
    """Computes -log of the true class's probability, mean over pixels: binary (BCE) for one logit, else of the softmax.

    Args:
      logits, label, valid_px: as in `soft_dice`.

    Returns:
      float32 [N], >= 0.
    """
    return -_mean_over_pixels(_true_log_probability(logits, label), valid_px)


def focal(
    logits: jax.Array,
    label: jax.Array,
    valid_px: jax.Array | None = None,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> jax.Array:
    """Computes -a (1 - q)^gamma log q, q the true class's probability, mean over pixels (arXiv:1708.02002, eq. 5).

    Args:
      logits, label, valid_px: as in `soft_dice`.
      gamma: 0, or >= 1 (between them the gradient is infinite where q = 1).
      alpha: 0..1, a of every foreground class; the background's is 1 - alpha. At gamma = 0 and alpha = 0.5 it
        is half of `cross_entropy`.

    Returns:
      float32 [N], >= 0.
    """
    log_q = _true_log_probability(logits, label)
    weight = jnp.where(label > 0, alpha, 1.0 - alpha)
    return _mean_over_pixels(-weight * (-jnp.expm1(log_q)) ** gamma * log_q, valid_px)


def _foreground(
    logits: jax.Array, label: jax.Array, valid_px: jax.Array | None, reduce: str
) -> tuple[jax.Array, jax.Array, tuple[int, ...]]:
    """The foreground's p and g, [N, H, W, F], 0 where no pixel is valid, and the axes that `reduce` sums over."""
    p, g = foreground_probability(logits), foreground_truth(label, logits.shape[-1])
    if valid_px is not None:
        # Every sum over pixels is of products with p or g.
        p, g = (jnp.where(valid_px[..., None], values, 0.0) for values in (p, g))
    return p, g, (0, 1, 2) if reduce == "batch" else (1, 2)


def _mean_over_pixels(values: jax.Array, valid_px: jax.Array | None) -> jax.Array:
    """[N, H, W] to [N]: the mean over each image's valid pixels, 0 without one."""
    if valid_px is None:
        return jnp.mean(values, axis=(1, 2))
    number = jnp.maximum(jnp.sum(valid_px, axis=(1, 2)), 1)
    return jnp.sum(jnp.where(valid_px, values, 0.0), axis=(1, 2)) / number


def _one_minus_ratio(overlap: jax.Array, total: jax.Array, smooth: float, *, images: int) -> jax.Array:
    """1 - (overlap + smooth) / (total + smooth), mean over the last axis: [F] or [images, F] to [images]."""
    loss = jnp.mean(1.0 - (overlap + smooth) / (total + smooth), axis=-1)
    return jnp.broadcast_to(loss, (images,))


def _true_log_probability(logits: jax.Array, label: jax.Array) -> jax.Array:
    """The log of the probability that the logits give to the label, [N, H, W], finite for finite logits."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if logits.shape[-1] == 1:
        return jax.nn.log_sigmoid(jnp.where(label > 0, 1.0, -1.0) * logits[..., 0])
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    return jnp.take_along_axis(log_probability, label[..., None].astype(jnp.int32), axis=-1)[..., 0]
