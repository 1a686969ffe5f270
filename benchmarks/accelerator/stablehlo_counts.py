"""What stands in a lowered program before XLA's compiler sees it: convolutions, products, and what moves values.

Text alone; functions that a program calls several times count once, and hold no convolution.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

from nucseg_jax.runtime.device_facts import DeviceFacts

BITS = {"bf16": 16, "f16": 16, "f32": 32, "f64": 64, "i1": 8, "ui8": 8, "i8": 8, "ui16": 16, "i16": 16}
BITS |= {"ui32": 32, "i32": 32, "ui64": 64, "i64": 64}
MOVES = ("transpose", "gather", "scatter", "reverse", "convert", "custom_call", "pad", "concatenate", "sort")
# No kernel of the models is wider; an encoder's first is.
WIDEST_KERNEL_PX = 7
# Values; of an image, where a kernel's transpose is none.
LARGE = 2**20
_TENSOR = re.compile(r"tensor<((?:\d+x)*)([a-z]+\d+)>")
_PRODUCT = re.compile(r"stablehlo\.(convolution|dot_general)\b(.*) : \((.*?)\) -> (tensor<[^>]*>)")
_OPERATION = re.compile(r"stablehlo\.([a-z_]+)")

Array = tuple[tuple[int, ...], str]


@dataclasses.dataclass(frozen=True)
class Product:
    """A convolution or a matrix product.

    Attributes:
      operation: 'convolution' or 'dot_general'.
      kind: 'forward', 'input gradient' or 'kernel gradient' by the layout of a convolution; 'product'.
      dtype: of its operands.
      operands, result: shapes.
      groups: of features or batches, 1 = none.
      image_dilation: distance of the pixels of the first operand, with zeros between them; 1 = none.
      stride: steps of the window.
      flops: 2 a multiply-add with a value of the first operand that is no such zero.
      bytes: of operands and result.
      window_px: the longer side of what slides, the second operand.
      is_exact: it asks for all digits of float32.
    """

    operation: str
    kind: str
    dtype: str
    operands: tuple[tuple[int, ...], tuple[int, ...]]
    result: tuple[int, ...]
    groups: int
    image_dilation: int
    stride: int
    flops: float
    bytes: int
    window_px: int
    is_exact: bool

    @property
    def is_foreign(self) -> bool:
        """True for a kernel gradient that XLA's compiler for GPUs does not make cuDNN's backward filter.

        Of transposed and of atrous convolutions: it stays a convolution whose window is an image.
        """
        is_wide = self.window_px > WIDEST_KERNEL_PX
        return self.kind == "kernel gradient" and is_wide and max(self.image_dilation, self.stride) > 1

    def seconds(self, facts: DeviceFacts) -> float:
        """Returns the least time on a device, by arithmetic or traffic."""
        peak = facts.peak_flops("bfloat16" if self.dtype == "bf16" else "float32")
        return max(self.flops / peak if peak else 0.0, self.bytes / facts.bytes_per_second)


def arrays_of(text: str) -> list[Array]:
    """Returns shape and dtype of each tensor type in a text.

    >>> arrays_of("(tensor<8x3xbf16>, tensor<f32>)")
    [((8, 3), 'bf16'), ((), 'f32')]
    """
    return [
        (tuple(int(size) for size in sizes.split("x") if size), dtype)
        for sizes, dtype in _TENSOR.findall(text)
    ]


def bytes_of(array: Array) -> int:
    """Returns the size of an array."""
    return math.prod(array[0]) * BITS[array[1]] // 8


def products_of(text: str) -> Iterator[Product]:
    """Yields the convolutions and matrix products of a StableHLO module."""
    for operation, how, operands, result in _PRODUCT.findall(text):
        left, right = arrays_of(operands)[:2]
        out = arrays_of(result)[0]
        if operation == "dot_general":
            contracted = re.search(r"contracting_dims = \[([\d, ]*)\]", how)
            axes = [int(axis) for axis in contracted.group(1).split(",") if axis] if contracted else []
            depth, kind = math.prod(left[0][axis] for axis in axes), "product"
            dilation = stride = groups = window = 1
        else:
            kind, depth, window = _convolution(how, right[0])
            dilation, stride = (_first(name, how) for name in ("lhs_dilate", "stride"))
            groups = max(int(count) for count in re.findall(r"group_count = (\d+)", how))
        flops = 2.0 * math.prod(out[0]) * depth / dilation**2
        total = sum(bytes_of(each) for each in (left, right, out))
        yield Product(
            operation,
            kind,
            left[1],
            (left[0], right[0]),
            out[0],
            groups,
            dilation,
            stride,
            flops,
            total,
            window,
            how.count("HIGHEST") == 2,
        )


def _first(name: str, how: str) -> int:
    found = re.search(rf"{name} = \[(\d+)", how)
    return int(found.group(1)) if found else 1


def _convolution(how: str, kernel: tuple[int, ...]) -> tuple[str, int, int]:
    """Returns kind, multiply-adds of a value, and the longer side of the window."""
    found = re.search(r"dim_numbers = \[([^\]]*)\]x\[([^\]]*)\]", how)
    assert found
    image, window = ([part.strip() for part in group.split(",")] for group in found.groups())
    sides = [size for size, part in zip(kernel, window, strict=True) if part.isdigit()]
    depth = math.prod(size for size, part in zip(kernel, window, strict=True) if part != "o")
    if image[0] == "f":
        return "kernel gradient", depth, max(sides)
    # Forward, the kernel lies as it is stored.
    return ("forward" if window[-1] == "o" else "input gradient"), depth, max(sides)


def counts(text: str) -> dict[str, int | float]:
    """Returns the counts of a StableHLO module.

    Returns:
      'convolutions' and 'products', with 'in float32' of each those whose operands are; 'exact', which ask for all
      digits; 'foreign', `Product.is_foreign`; 'grouped'; for each of `MOVES` how often it stands there; 'large
      transposes', of `LARGE` values or more; 'large gathers', gathers and scatters of as many; 'flops', 'bytes' of
      convolutions and products.
    """
    products = list(products_of(text))
    operations = collections.Counter(_OPERATION.findall(text))
    found: dict[str, int | float] = {}
    for name, operation in (("convolutions", "convolution"), ("products", "dot_general")):
        own = [each for each in products if each.operation == operation]
        found[name] = len(own)
        found[f"{name} in float32"] = sum(each.dtype == "f32" for each in own)
    found["exact"] = sum(each.is_exact for each in products)
    found["foreign"] = sum(each.is_foreign for each in products)
    found["grouped"] = sum(each.groups > 1 for each in products)
    found |= {move: operations[move] for move in MOVES}
    found["large transposes"] = _large(text, "transpose")
    found["large gathers"] = _large(text, "gather") + _large(text, "scatter")
    found["flops"] = sum(each.flops for each in products)
    found["bytes"] = sum(each.bytes for each in products)
    return found


def _large(text: str, operation: str) -> int:
    lines = re.findall(rf"stablehlo\.{operation}\b.*-> (tensor<[^>]*>)", text)
    return sum(math.prod(array[0]) >= LARGE for line in lines for array in arrays_of(line))
