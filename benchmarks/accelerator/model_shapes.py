"""The convolutions of the paper's models, by the field of `ops/lowering.py` that chooses their form."""

import collections
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks.lowerings import Duel
from nucseg_jax.models.layers import Conv, ConvTranspose, DepthwiseConv
from nucseg_jax.ops import conv, pool
from nucseg_jax.ops.lowering import LOWERINGS, lowerings

GROUP_PX = LOWERINGS["cpu"].kernel_gradient_px or 0
# A layer: kind, image [H, W, C], kernel px, features, stride, dilation, padding.
Layer = tuple[str, tuple[int, int, int], int, int, int, int, Any]


def layers_of(model: nn.Module, px: int) -> collections.Counter[Layer]:
    """Returns how often each shape of convolution stands in a model on a px x px image; traces, compiles nothing."""
    found: collections.Counter[Layer] = collections.Counter()

    def note(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
        layer, is_call = context.module, context.method_name == "__call__"
        if is_call and isinstance(layer, Conv | ConvTranspose | DepthwiseConv):
            image = tuple(args[0].shape[1:])
            features = image[-1] if isinstance(layer, DepthwiseConv) else layer.features
            dilation = getattr(layer, "dilation", 1)
            padding = getattr(layer, "padding", "SAME")
            if not isinstance(padding, str):
                padding = tuple((before, after) for before, after in padding)
            kind = type(layer).__name__
            found[kind, image, layer.kernel_px, features, layer.stride, dilation, padding] += 1
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, px, px, 3), jnp.uint8)
    with nn.intercept_methods(note):
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return found


def duels_of(models: Iterable[tuple[nn.Module, int]], *, most: int) -> list[tuple[str, int, Duel]]:
    """Returns the dearest shapes of each lowering, the dearest of all lowerings before the second ones.

    Args:
      models: with the side of their images.
      most: shapes of each field.

    Returns:
      Field of `Lowerings`, how often the models have the shape, and the two forms of it.
    """
    counts: collections.Counter[Layer] = collections.Counter()
    for model, px in models:
        counts.update(layers_of(model, px))
    by_field: dict[str, list[tuple[float, int, Duel]]] = collections.defaultdict(list)
    for layer, count in counts.items():
        for field, duel in _duels(layer):
            by_field[field].append((count * _operations(layer), count, duel))
    first = max((layer[1] for layer in counts if layer[0] == "Conv" and layer[2] == 7), default=None)
    if first is not None:
        # After the first convolution of a ResNet, at stride 2.
        image = (first[0] // 2, first[1] // 2, next(each[3] for each in counts if each[2] == 7))
        forms = (pool.max_pool_3x3_stride_2_reference, pool.max_pool_3x3_stride_2_slices)
        by_field["max_pool"].append((0.0, 1, Duel("max_pool", *forms, image, None)))
    picked: list[tuple[int, str, int, Duel]] = []
    for field, found in by_field.items():
        found.sort(key=lambda each: -each[0])
        picked += [(turn, field, count, duel) for turn, (_, count, duel) in enumerate(found[:most])]
    picked.sort(key=lambda each: each[0])
    return [(field, count, duel) for _, field, count, duel in picked]


def _duels(layer: Layer) -> Sequence[tuple[str, Duel]]:
    """Returns the fields that decide about a layer, with both forms."""
    kind, image, k, features, stride, dilation, padding = layer
    C = image[-1]
    name = f"{k}x{k}, stride {stride}, dilation {dilation}"
    if kind == "DepthwiseConv":
        options = dict(stride=stride, dilation=dilation)
        forms = (conv.convolve_depthwise_reference, conv.convolve_depthwise_shifted)
        return [
            ("depthwise", Duel(name, *(functools.partial(f, **options) for f in forms), image, (k, k, 1, C)))
        ]
    if kind == "ConvTranspose":
        # The form that runs now.
        is_product = lowerings().transpose_kernel_gradient == "product"
        form = conv.convolve_transpose_product if is_product else conv.convolve_transpose_by_convolution

        def magnified(image: jax.Array, kernel: jax.Array) -> jax.Array:
            return form(image, kernel, stride)

        reference = functools.partial(conv.convolve_transpose_reference, stride=stride)
        return [("transpose_kernel_gradient", Duel(name, reference, magnified, image, (k, k, features, C)))]
    reference = functools.partial(conv.convolve_reference, stride=stride, padding=padding, dilation=dilation)
    kernel = (k, k, C, features)

    def grouped(image: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv.convolve_grouped_gradient(
            image, kernel, conv.Geometry(stride, padding, dilation), GROUP_PX
        )

    if k == 1 and padding in ("SAME", "VALID"):
        ours = functools.partial(conv.convolve_1x1, stride=stride)
        return [("pointwise", Duel(name, reference, ours, image, kernel))]
    if dilation > 1 and stride == 1 and padding == "SAME" and k % 2:
        taps = functools.partial(conv.convolve_atrous, dilation=dilation)
        return [("atrous", Duel(name, reference, taps, image, kernel))]
    found = [("kernel_gradient_px", Duel(name, reference, grouped, image, kernel))]
    if (k, stride, dilation, padding) == (3, 1, 1, "SAME"):
        found.append(("winograd_from", Duel(name, reference, conv.convolve_3x3_winograd, image, kernel)))
    return found


def _operations(layer: Layer) -> float:
    """Returns the multiply-adds of a layer, up to a common factor."""
    kind, (H, W, C), k, features, stride, _, _ = layer
    each = features if kind == "DepthwiseConv" else C * features
    return k * k * each * H * W / (1 if kind == "ConvTranspose" else stride**2)
