"""The kernels of a program that XLA compiled for a GPU, with the bytes and operations of each.

Bytes are those of a kernel's operands and results, each read or written once: what caches keep is not subtracted, and
what a kernel reads of a larger operand counts whole.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable

from nucseg_jax.runtime.device_facts import DeviceFacts

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
BYTES |= {"f64": 8, "s64": 8, "u64": 8}
# No kernel of the models is wider.
WIDEST_KERNEL_PX = 7
# Nothing runs for these.
FREE = ("parameter", "get-tuple-element", "bitcast", "tuple", "constant", "copy-start", "copy-done")
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_LINE = re.compile(r"^  (?:ROOT )?%(\S+) = (.+?) ([a-z][a-z-]*)\((.*?)\)(?:, |$)(.*)$")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One call of a kernel.

    Attributes:
      name: of the instruction.
      kind: 'convolution', 'product', 'copy' or 'fused'.
      operation: of the source it came from, such as 'conv_general_dilated'; '' where XLA made it up.
      flops: 2 a multiply-add, of convolutions and products alone.
      bytes: of operands and results.
      is_narrow: its operands are bfloat16.
      shape: of the first result.
      window_px: the longer side of what a convolution slides; 0 for other kernels.
    """

    name: str
    kind: str
    operation: str
    flops: float
    bytes: int
    is_narrow: bool
    shape: str
    window_px: int

    @property
    def is_foreign(self) -> bool:
        """True for a forward convolution with a window that no layer has: cuDNN has no kernel made for it."""
        return self.window_px > WIDEST_KERNEL_PX

    def seconds(self, facts: DeviceFacts) -> float:
        """Returns the least time on a device, by arithmetic or traffic."""
        peak = facts.peak_flops("bfloat16" if self.is_narrow else "float32")
        return max(self.flops / peak if peak else 0.0, self.bytes / facts.bytes_per_second)


def sizes(text: str) -> list[tuple[str, list[int]]]:
    """Returns dtype and dimensions of each array of an HLO type."""
    return [
        (dtype, [int(size) for size in dimensions.split(",") if size])
        for dtype, dimensions in _SHAPE.findall(text)
        if dtype in BYTES
    ]


def _bytes(text: str) -> int:
    return sum(BYTES[dtype] * math.prod(dimensions) for dtype, dimensions in sizes(text))


def computations(text: str) -> dict[str, list[str]]:
    """Returns the lines of each computation of an HLO module by name; the entry's name is ''."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        if line.endswith("{") and (line.startswith(("%", "ENTRY"))):
            name = "" if line.startswith("ENTRY") else line.split()[0].removeprefix("%")
            current = found.setdefault(name, [])
        elif line.startswith("}"):
            current = None
        elif current is not None:
            current.append(line)
    return found


def kernels_of(text: str) -> list[Kernel]:
    """Returns the kernels of an optimized HLO module in the order of its schedule; loops count once."""
    bodies = computations(text)
    entry = bodies[""]
    types: dict[str, str] = {}
    kernels = []
    for line in entry:
        found = _LINE.match(line)
        if not found:
            continue
        name, result, opcode, operands, rest = found.groups()
        types[name] = result
        if opcode in FREE:
            continue
        inputs = [types.get(operand, "") for operand in re.findall(r"%([\w.-]+)", operands)]
        called = re.search(r"calls=%([\w.-]+)", rest)
        body = bodies.get(called.group(1), []) if called else []
        flops, window_px = product_flops(body), 0
        kind = "product" if flops else "copy" if opcode == "copy" or _only_copies(body) else "fused"
        if '"__cudnn$conv' in line:
            kind, flops, window_px = "convolution", convolution_flops(result, inputs, rest), window_of(rest)
        elif "__cublas" in line:
            kind = "product"
        operation = re.search(r'op_name="([^"]*)"', rest)
        kernels.append(
            Kernel(
                name,
                kind,
                operation.group(1).rpartition("/")[2] if operation else "",
                flops,
                _bytes(result) + sum(_bytes(each) for each in inputs),
                any(dtype == "bf16" for each in inputs for dtype, _ in sizes(each)),
                "x".join(map(str, sizes(result)[0][1])) if sizes(result) else "",
                window_px,
            )
        )
    return kernels


def _only_copies(body: Iterable[str]) -> bool:
    """Returns True for a fusion that moves values and computes none."""
    opcodes = {found.group(3) for found in map(_LINE.match, body) if found}
    return bool(opcodes) and opcodes <= {"parameter", "transpose", "copy", "bitcast", "constant", "tuple"}


def product_flops(body: Iterable[str]) -> float:
    """Returns the operations of the matrix products in a computation."""
    types: dict[str, str] = {}
    total = 0.0
    for found in filter(None, map(_LINE.match, body)):
        name, result, opcode, operands, rest = found.groups()
        types[name] = result
        if opcode == "dot":
            left = sizes(types[re.findall(r"%([\w.-]+)", operands)[0]])[0][1]
            contracted = _CONTRACTED.search(rest)
            axes = [int(axis) for axis in contracted.group(1).split(",") if axis] if contracted else []
            total += 2.0 * math.prod(sizes(result)[0][1]) * math.prod(left[axis] for axis in axes)
    return total


def window_of(rest: str) -> int:
    """Returns the longer side of a convolution's window; 1 where none is written."""
    found = re.search(r"size=([\dx]+)", rest)
    return max(int(size) for size in found.group(1).split("x")) if found else 1


def convolution_flops(result: str, inputs: list[str], rest: str) -> float:
    """Returns the operations of a convolution of cuDNN, as if each tap met a pixel.

    Args:
      result, inputs: HLO types: of an image and a kernel to an image, of two images to a kernel where it is a backward
        filter, and of a gradient and a kernel to an image where it is a backward input.
      rest: of the instruction's line, with `dim_labels`.
    """
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", rest)
    assert labels
    out, left, right = (sizes(each)[0][1] for each in (result, *inputs[:2]))
    # The kernel, and the image whose every pixel meets all of it: the output of the forward convolution.
    if "BackwardFilter" in rest:
        kernel, image, axes = out, right, labels.group(1)
    elif "BackwardInput" in rest:
        kernel, image, axes = right, left, labels.group(1)
    else:
        kernel, image, axes = right, out, labels.group(3)
    return 2.0 * math.prod(image) / image[axes.index("f")] * math.prod(kernel)


def by_kind(kernels: Iterable[Kernel], facts: DeviceFacts) -> dict[str, dict[str, float]]:
    """Returns `calls`, `flops`, `bytes` and `ms`, the least time, of each kind of kernel."""
    found: dict[str, dict[str, float]] = {}
    for kernel in kernels:
        row = found.setdefault(kernel.kind, collections.defaultdict(float))
        row["calls"] += 1
        row["flops"] += kernel.flops
        row["bytes"] += kernel.bytes
        row["ms"] += 1e3 * kernel.seconds(facts)
    return {kind: dict(row) for kind, row in sorted(found.items(), key=lambda each: -each[1]["ms"])}
