"""True and false positives and negatives of pixels, per image and class, as exact integers.

Letters: N images, H x W pixels, C logits a pixel, K counted classes, 4 = (TP, FP, FN, TN) in this order.
Counted class 0 is always "nucleus", any foreground against background; with C >= 2 the C - 1 foreground
classes follow, each against all the rest, so K = 1 for C = 1 and K = C otherwise.

    logits [8, 256, 256, 1], label [8, 256, 256]  ->  [8, 1, 4]   nucleus
    logits [8, 256, 256, 6], label [8, 256, 256]  ->  [8, 6, 4]   nucleus, Neoplastic, ..., Epithelial

valid_px, bool [N, H, W], False = nobody annotated the pixel: it is none of the four. None = every pixel counts.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.ops.probability import predicted_label


def count_masks(
    prediction: jax.Array | np.ndarray,
    truth: jax.Array | np.ndarray,
    valid_px: jax.Array | np.ndarray | None = None,
) -> jax.Array:
    """Counts the pixels of two masks that agree and disagree, image by image.

    Args:
      prediction: bool [N, H, W].
      truth: bool [N, H, W].
      valid_px: bool [N, H, W] or None, see the top of this file.

    Returns:
      int32 [N, 1, 4], TP, FP, FN, TN.

    Raises:
      ValueError: shapes differ, are not of rank 3, or a mask is not bool; or 2^31 pixels an image and more.

    >>> count_masks(np.array([[[True, True, False]]]), np.array([[[True, False, False]]])).tolist()
    [[[1, 1, 0, 1]]]
    """
    if prediction.ndim != 3 or prediction.shape != truth.shape:
        raise ValueError(f"masks of shape {prediction.shape} and {truth.shape}; both must be [N, H, W]")
    if prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(f"masks of dtype {prediction.dtype} and {truth.dtype}; both must be bool")
    if prediction.shape[1] * prediction.shape[2] > np.iinfo(np.int32).max:
        raise ValueError(f"images of {prediction.shape[1:]} pixels, which 32-bit counts cannot hold")
    prediction, truth = jnp.asarray(prediction), jnp.asarray(truth)
    cells = [prediction & truth, prediction & ~truth, ~prediction & truth, ~prediction & ~truth]
    if valid_px is not None:
        cells = [cell & valid_px for cell in cells]
    counts = [jnp.sum(cell, axis=(1, 2), dtype=jnp.int32) for cell in cells]
    return jnp.stack(counts, axis=-1)[:, None, :]


def count_pixels(
    logits: jax.Array | np.ndarray,
    label: jax.Array | np.ndarray,
    valid_px: jax.Array | np.ndarray | None = None,
) -> jax.Array:
    """Counts a model's pixels against the truth, image by image and class by class; jit-able.

    One logit a pixel is the binary task: nucleus where logit > 0 (probability > 0.5), truth where label > 0.
    Several are background and foreground classes, by the rule of `ops.probability`: nucleus where these sum to a
    probability > 0.5, its class the likeliest of them, the lower on a tie.

    Args:
      logits: float [N, H, W, C].
      label: integer [N, H, W], 0 = background; any value for C = 1, 0..C-1 otherwise.
      valid_px: bool [N, H, W] or None, see the top of this file.

    Returns:
      int32 [N, K, 4], TP, FP, FN, TN; see the top of this file for K.

    Raises:
      ValueError: the shapes do not belong together.
    """
    if logits.ndim != 4 or logits.shape[:3] != label.shape:
        raise ValueError(
            f"logits {logits.shape} and label {label.shape}; expected [N, H, W, C] and [N, H, W]"
        )
    predicted = predicted_label(jnp.asarray(logits))
    return count_labels(predicted, label, valid_px, num_classes=logits.shape[-1])


def count_labels(
    prediction: jax.Array | np.ndarray,
    label: jax.Array | np.ndarray,
    valid_px: jax.Array | np.ndarray | None = None,
    *,
    num_classes: int,
) -> jax.Array:
    """Counts predicted classes against the truth, image by image and class by class; jit-able.

    Args:
      prediction: integer or bool [N, H, W], 0 = background.
      label: the same; any value for C = 1, 0..C-1 otherwise.
      valid_px: bool [N, H, W] or None, see the top of this file.
      num_classes: C.

    Returns:
      int32 [N, K, 4], TP, FP, FN, TN; see the top of this file for K.

    Raises:
      ValueError: the shapes do not belong together.
    """
    nucleus = count_masks(prediction > 0, label > 0, valid_px)
    each = [count_masks(prediction == number, label == number, valid_px) for number in range(1, num_classes)]
    return jnp.concatenate([nucleus, *each], axis=1)
