"""Stride traded for dilation: deep features on a denser grid, same weights (arXiv:1706.05587, section 3.1)."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class StageGeometry:
    """Strides and dilations of a stage's convolutions.

    Attributes:
      stride: of the stage's strided convolution, 1 where the stride was removed.
      dilation_before: of that strided convolution itself.
      dilation: of all convolutions after it.
      output_stride: of the stage's output, relative to the image.
    """

    stride: int
    dilation_before: int
    dilation: int
    output_stride: int


def stage_geometries(
    strides: Sequence[int], *, stem_stride: int, output_stride: int
) -> tuple[StageGeometry, ...]:
    """The geometry of each stage when no stage may exceed an output stride.

    A removed stride of 2 doubles the dilation of every later convolution, which then sees exactly the pixels
    that the strided network sees: its output, at those pixels, is that of the strided network.

    Args:
      strides: of the stages in the published network.
      stem_stride: output stride before the first stage.
      output_stride: the largest one allowed.

    >>> stage_geometries((1, 2, 2, 2), stem_stride=4, output_stride=16)[-1]
    StageGeometry(stride=1, dilation_before=1, dilation=2, output_stride=16)
    """
    geometries = []
    reached, dilation = stem_stride, 1
    for stride in strides:
        removed = reached * stride > output_stride
        geometry = StageGeometry(
            stride=1 if removed else stride,
            dilation_before=dilation,
            dilation=dilation * stride if removed else dilation,
            output_stride=reached if removed else reached * stride,
        )
        geometries.append(geometry)
        reached, dilation = geometry.output_stride, geometry.dilation
    return tuple(geometries)
