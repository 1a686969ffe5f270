"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3) (arXiv:1509.09308, section 4.1).

Notation: image [N, H, W, C]; kernel [3, 3, C, D]. The map is cut into tiles of 4x4 outputs, each of which sees
6x6 inputs: T tiles in all, and k = 36 points of a tile. With the constant matrices B^T, G, A^T of Cook and Toom

    transformed image   V = (B^T x B^T) patches   [k, T, C]
    transformed kernel  U = (G x G) kernel        [k, C, D]
    products            M = V U                   [k, T, D]   one matrix product a point: this is the work
    result              Y = (A^T x A^T) M         [16, T, D]

where x is Kronecker's product, so that each transform is a matrix product too and the two gradients are the same
four products transposed. The first of them, where most values are moved, is taken apart in the forward pass: B^T
along the columns and then along the rows, as sums of a few shifted maps, without building the patches.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

TILE = 4
TAPS = 3
PATCH = TILE + TAPS - 1
# Points of evaluation beside infinity. With these the largest error in float32 was 2.6e-6 of the largest value; with
# the usual 0, 1, -1, 2, -2 it was 9.9e-6, and the plain sum's 5.5e-7 (random normal numbers, a map of 16x16, 256
# channels to 64; with 512 channels to 128 on 64x64: 3.9e-6, 1.8e-5, 5.0e-7). arXiv:2201.10369 on the choice of points.
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2.0**0.5, -(2.0**0.5))


def cook_toom(points: tuple[float, ...], tile: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices of `tile` outputs of a correlation with `taps` weights.

    Args:
      points: tile + taps - 2 different numbers; infinity is the last point.
      tile: number of outputs.
      taps: number of weights.

    Returns:
      A^T [tile, n], G [n, taps], B^T [n, n] in float64, n = tile + taps - 1: the outputs of signal d [n] and
      weights g are A^T ((G g) * (B^T d)).
    """
    n = tile + taps - 1
    finite = np.asarray(points, np.float64)
    others: list[np.ndarray] = [np.delete(finite, number) for number in range(n - 1)]
    inverse, kernel, image = np.zeros((tile, n)), np.zeros((n, taps)), np.zeros((n, n))
    inverse[:, :-1] = finite ** np.arange(tile)[:, None]
    inverse[-1, -1] = kernel[-1, -1] = 1.0
    for number, point in enumerate(finite):
        kernel[number] = point ** np.arange(taps) / np.prod(point - others[number])
        image[number, :-1] = np.poly(others[number])[::-1]
    image[-1] = np.poly(finite)[::-1]
    return inverse, kernel, image


_INVERSE_1D, _KERNEL_1D, _IMAGE_1D = cook_toom(POINTS, TILE, TAPS)
_INVERSE, _KERNEL, _IMAGE = (np.kron(matrix, matrix) for matrix in (_INVERSE_1D, _KERNEL_1D, _IMAGE_1D))


# The image and the kernel, transformed, and the image's N, H and W.
Residual = tuple[jax.Array, jax.Array, tuple[int, int, int]]


@jax.custom_vjp
def convolve_3x3_winograd(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 'SAME' 3x3 convolution of stride 1, as `ops.conv_reference.convolve_reference`.

    Args:
      image: float32 or float64 [N, H, W, C].
      kernel: same dtype, [3, 3, C, D].

    Returns:
      [N, H, W, D] of the same dtype.
    """
    return _forward(image, kernel)[0]


def _forward(image: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Residual]:
    N, H, W, C = image.shape
    D = kernel.shape[-1]
    transformed = _transform_image(image)
    tiles = transformed.shape[2:5]
    transformed_image = transformed.reshape(PATCH**2, -1, C)
    transformed_kernel = _apply(_KERNEL, kernel.reshape(TAPS**2, C, D))
    products = _batched(transformed_image, transformed_kernel, contract=(2, 1))
    result = _apply(_INVERSE, products).reshape(TILE, TILE, *tiles, D)
    return _join_tiles(result)[:, :H, :W], (transformed_image, transformed_kernel, (N, H, W))


def _backward(residual: Residual, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    transformed_image, transformed_kernel, (N, H, W) = residual
    C, D = transformed_kernel.shape[1:]
    outputs = _split_tiles(gradient).reshape(TILE**2, -1, D)
    products = _apply(_INVERSE.T, outputs)
    for_kernel = _batched(transformed_image, products, contract=(1, 1))
    for_image = _batched(products, transformed_kernel, contract=(2, 2))
    kernel_gradient = _apply(_KERNEL.T, for_kernel).reshape(TAPS, TAPS, C, D)
    abstract_image = jax.ShapeDtypeStruct((N, H, W, C), gradient.dtype)
    abstract_patches = jax.eval_shape(_patches, abstract_image)
    patches = _apply(_IMAGE.T, for_image).reshape(abstract_patches.shape)
    (image_gradient,) = jax.linear_transpose(_patches, abstract_image)(patches)
    return image_gradient, kernel_gradient


convolve_3x3_winograd.defvjp(_forward, _backward)


def _apply(matrix: np.ndarray, values: jax.Array) -> jax.Array:
    """A constant matrix [i, k] times values [k, P, Q]: [i, P, Q]."""
    flat = values.reshape(values.shape[0], -1)
    product = jnp.asarray(matrix, values.dtype) @ flat
    return product.reshape(matrix.shape[0], *values.shape[1:])


def _batched(left: jax.Array, right: jax.Array, *, contract: tuple[int, int]) -> jax.Array:
    """One matrix product for each point, contracting one axis of either side."""
    left_axis, right_axis = contract
    return lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((0,), (0,))))


def _transform_image(image: jax.Array) -> jax.Array:
    """(B^T x B^T) times `_patches`, [6, 6, N, rows, columns, C], without the patches: columns first, then rows."""
    N, _, _, C = image.shape
    padded, rows, columns = _pad_to_tiles(image, before=1, more_tiles=1)
    by_columns = padded.reshape(N, rows * TILE, columns, TILE, C)
    taps = [by_columns[:, :, tap // TILE : columns - 1 + tap // TILE, tap % TILE] for tap in range(PATCH)]
    half = jnp.stack([_combine(row, taps) for row in _IMAGE_1D])
    by_rows = half.reshape(PATCH, N, rows, TILE, columns - 1, C)
    taps = [by_rows[:, :, tap // TILE : rows - 1 + tap // TILE, tap % TILE] for tap in range(PATCH)]
    return jnp.stack([_combine(row, taps) for row in _IMAGE_1D])


def _combine(weights: np.ndarray, taps: list[jax.Array]) -> jax.Array:
    """The weighted sum of equal shapes, without those of weight 0."""
    terms = [tap * float(weight) for weight, tap in zip(weights, taps, strict=True) if weight]
    return functools.reduce(jnp.add, terms)


def _split_tiles(image: jax.Array, *, before: int = 0, more_tiles: int = 0) -> jax.Array:
    """[N, H, W, C], padded with zeros, as [4, 4, N, rows of tiles, columns of tiles, C]."""
    N, _, _, C = image.shape
    padded, rows, columns = _pad_to_tiles(image, before=before, more_tiles=more_tiles)
    return padded.reshape(N, rows, TILE, columns, TILE, C).transpose(2, 4, 0, 1, 3, 5)


def _pad_to_tiles(image: jax.Array, *, before: int, more_tiles: int) -> tuple[jax.Array, int, int]:
    """The image with zeros around it, and the rows and columns of tiles that it then has."""
    H, W = image.shape[1:3]
    rows, columns = (-(-size // TILE) + more_tiles for size in (H, W))
    after = (rows * TILE - H - before, columns * TILE - W - before)
    return jnp.pad(image, ((0, 0), (before, after[0]), (before, after[1]), (0, 0))), rows, columns


def _join_tiles(tiles: jax.Array) -> jax.Array:
    """[4, 4, N, rows, columns, D] as [N, 4 * rows, 4 * columns, D]."""
    _, _, N, rows, columns, D = tiles.shape
    return tiles.transpose(2, 3, 0, 4, 1, 5).reshape(N, TILE * rows, TILE * columns, D)


def _patches(image: jax.Array) -> jax.Array:
    """The 6x6 inputs of every tile, [6, 6, N, rows, columns, C]: the tile's own 4x4 and the next tiles' edges."""
    halo = PATCH - TILE
    tiles = _split_tiles(image, before=1, more_tiles=1)
    rows, columns = tiles.shape[3] - 1, tiles.shape[4] - 1
    tall = jnp.concatenate([tiles[:, :, :, :rows], tiles[:halo, :, :, 1:]], axis=0)
    return jnp.concatenate([tall[:, :, :, :, :columns], tall[:, :halo, :, :, 1:]], axis=1)
