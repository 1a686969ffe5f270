"""Out of focus, and moved while the picture was taken: convolutions with kernels whose size is in microns."""

import math

import jax
import jax.numpy as jnp

DEFOCUS_RADII_UM = (0.25, 0.5, 0.75, 1.0, 1.5)
MOTION_LENGTHS_UM = (0.75, 1.25, 2.0, 3.0, 4.0)


def defocused(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Blurs with a disk, as a lens out of focus does.

    Args:
      image: float32 [N, H, W, 3].
      keys: not used; nothing is drawn.
      value: radius in microns, float32 [], at most the last of `DEFOCUS_RADII_UM`.
      microns_per_px: of the images.
    """
    del keys
    reach_px = math.ceil(DEFOCUS_RADII_UM[-1] / microns_per_px + 0.5)
    kernel = disk_kernel(value / microns_per_px, reach_px)
    return convolved(image, jnp.broadcast_to(kernel, (len(image), *kernel.shape)))


def disk_kernel(radius_px: jax.Array, reach_px: int) -> jax.Array:
    """Returns a disk whose edge falls from 1 to 0 over one pixel, so that radii between whole pixels differ.

    Args:
      radius_px: float32 [].
      reach_px: R, pixels on each side of the middle.

    Returns:
      float32 [2R+1, 2R+1], adding up to 1.
    """
    offsets = jnp.arange(-reach_px, reach_px + 1, dtype=jnp.float32)
    distance = jnp.sqrt(jnp.square(offsets)[:, None] + jnp.square(offsets)[None, :])
    weights = jnp.clip(radius_px + 0.5 - distance, 0.0, 1.0)
    # The middle counts fully below half a pixel too.
    weights = weights.at[reach_px, reach_px].set(jnp.clip(radius_px + 0.5, 0.5, 1.0))
    return weights / jnp.sum(weights)


def moved(image: jax.Array, keys: jax.Array, value: jax.Array, microns_per_px: float) -> jax.Array:
    """Blurs along a straight line in a random direction, as a slide that moves under the camera does.

    Args:
      image: float32 [N, H, W, 3].
      keys: typed random keys [N]; each draws an angle.
      value: length of the line in microns, float32 [], at most the last of `MOTION_LENGTHS_UM`.
      microns_per_px: of the images.
    """
    angle = jax.vmap(lambda key: jax.random.uniform(key, maxval=jnp.pi))(keys)
    reach_px = math.ceil(MOTION_LENGTHS_UM[-1] / 2 / microns_per_px) + 1
    return convolved(image, line_kernels(value / microns_per_px, angle, reach_px))


def line_kernels(length_px: jax.Array, angle: jax.Array, reach_px: int) -> jax.Array:
    """Returns lines through the middle, each point of which is shared by the four pixels around it.

    Args:
      length_px: float32 [].
      angle: float32 [N], radians from the columns' axis.
      reach_px: R, pixels on each side of the middle.

    Returns:
      float32 [N, 2R+1, 2R+1], each adding up to 1.
    """
    offsets = jnp.arange(-reach_px, reach_px + 1, dtype=jnp.float32)
    points = 4 * reach_px
    along = length_px * ((jnp.arange(points, dtype=jnp.float32) + 0.5) / points - 0.5)

    def shares(at: jax.Array) -> jax.Array:
        return jnp.maximum(0.0, 1.0 - jnp.abs(offsets - at[:, None]))

    size = len(offsets)

    # One point after the other, and no mean over an axis: it would round by the number of images.
    def with_point(point: int, total: jax.Array) -> jax.Array:
        rows, columns = shares(along[point] * jnp.sin(angle)), shares(along[point] * jnp.cos(angle))
        return total + rows[:, :, None] * columns[:, None, :]

    nothing = jnp.zeros((len(angle), size, size))
    total: jax.Array = jax.lax.fori_loop(0, points, with_point, nothing)
    return total / points


def convolved(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves each image with its own kernel, all channels alike.

    Args:
      image: float32 [N, H, W, C]; continued beyond its edges by reflection, edge pixels once.
      kernel: float32 [N, K, K], K odd; as all here it is the same under a half turn.

    Returns:
      float32 [N, H, W, C].
    """
    size = kernel.shape[-1]
    reach, (height, width) = size // 2, image.shape[1:3]
    padded = jnp.pad(image, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    # The compiler would compute the kernel again for every pixel.
    padded, kernel = jax.lax.optimization_barrier((padded, kernel))

    # Shifted sums and no convolution: they round alike whatever the batch is.
    def with_row(row: int, total: jax.Array) -> jax.Array:
        strip = jax.lax.dynamic_slice_in_dim(padded, row, height, axis=1)
        weights = jax.lax.dynamic_index_in_dim(kernel, row, axis=1, keepdims=False)
        for column in range(size):
            shifted = jax.lax.slice_in_dim(strip, column, column + width, axis=2)
            total += weights[:, column, None, None, None] * shifted
        return total

    blurred: jax.Array = jax.lax.fori_loop(0, size, with_row, jnp.zeros_like(image))
    return blurred
