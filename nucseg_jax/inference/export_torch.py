"""A model as TorchScript and as ONNX: weights and preprocessing inside, images in, probabilities out.

Both take float32 RGB [N, 3, H, W], 0..255, as DJL, OpenCV and bioimage.io feed images, and give `probability`, float32
[N, F, H, W], then each map of the instance head by its name, float32 [N, 1, H, W]; F as in `ops.probability`.

PyTorch, ONNX and ONNX Runtime are imported by the functions that need them (extras `torch` and `onnx`).
"""

import contextlib
import functools
import json
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nucseg_jax.heads.interfaces import Head
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.torch_models.segmenter import build_torch_segmenter
from nucseg_jax.torch_models.weights import load_variables

IMAGE, PROBABILITY = "image", "probability"
# Read by ONNX Runtime since 1.12.
OPSET = 17
# Key under which the facts lie in both files.
FACTS = "nucseg_jax.json"

# uint8 [N, H, W, 3] -> float32 [N, H, W, F + M], as `export.export_model` gives.
Runner = Callable[[np.ndarray], np.ndarray]


def output_names(head: Head) -> tuple[str, ...]:
    """Names the outputs of both formats, in order.

    >>> from nucseg_jax.heads.hover import HOVER
    >>> output_names(HOVER)
    ('probability', 'horizontal', 'vertical')
    """
    return (PROBABILITY, *head.maps)


def torch_program(model: Segmenter, variables: Mapping[str, np.ndarray]) -> Any:
    """Builds the torch.nn.Module that both formats are traces of, in inference mode.

    Args:
      model: such as `create_model` gives.
      variables: of the model, flat, by names such as 'params/head/kernel'.

    Raises:
      ValueError: variables of another model.
    """
    segmenter = build_torch_segmenter(model)
    load_variables(segmenter, variables)
    return _program_class()(segmenter, model.num_classes, model.map_channels).eval().requires_grad_(False)


def write_torchscript(path: pathlib.Path, program: Any, *, stride: int, facts: Mapping[str, Any]) -> None:
    """Writes a trace of the program; any number of images of any size that the stride divides.

    Args:
      path: the file.
      program: see `torch_program`.
      stride: the encoder's output stride.
      facts: JSON values, kept in the file under `FACTS`.
    """
    import torch

    with _trace_warnings_silenced():
        traced = torch.jit.trace(program, _example(stride), check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={FACTS: json.dumps(facts)})


def write_onnx(
    path: pathlib.Path, program: Any, *, stride: int, outputs: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Writes the program with symbolic batch, height and width; arguments as in `write_torchscript`.

    The exporter is PyTorch's own (`dynamo=False`), which needs no further package.

    Args:
      outputs: see `output_names`.
    """
    import onnx
    import torch

    sizes = {0: "n", 2: "h", 3: "w"}
    with _trace_warnings_silenced():
        torch.onnx.export(
            program,
            (_example(stride),),
            str(path),
            input_names=[IMAGE],
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys((IMAGE, *outputs), sizes),
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {FACTS: json.dumps(facts)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def torchscript_runner(path: pathlib.Path) -> Runner:
    """Loads a file of `write_torchscript` by libtorch, on the CPU."""
    import torch

    program = torch.jit.load(str(path), map_location="cpu")

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = program(torch.from_numpy(as_input(image)))
        outputs = found if isinstance(found, tuple) else (found,)
        return _channels_last([output.numpy() for output in outputs])

    return run


def onnx_runner(path: pathlib.Path) -> Runner:
    """Loads a file of `write_onnx` by ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(image: np.ndarray) -> np.ndarray:
        return _channels_last(session.run(None, {IMAGE: as_input(image)}))

    return run


def as_input(image: np.ndarray) -> np.ndarray:
    """Returns images as both formats take them: uint8 [N, H, W, 3] -> float32 [N, 3, H, W]."""
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32)


def _channels_last(outputs: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(outputs, axis=1).transpose(0, 2, 3, 1)


def _example(stride: int) -> Any:
    """Images to trace with: no two of their sizes are equal, so that none can be taken for another."""
    import torch

    return torch.zeros(2, 3, 3 * stride, 4 * stride)


@contextlib.contextmanager
def _trace_warnings_silenced() -> Iterator[None]:
    """Channel counts become constants, which is meant; whoever writes a file runs it at other sizes afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _program_class() -> type:
    """Returns the class, which needs PyTorch where it is defined."""
    import torch
    from torch import nn

    class Program(nn.Module):
        """Images to probabilities and maps: `ops.outputs.predicted_channels`."""

        def __init__(self, segmenter: Any, num_classes: int, map_channels: int) -> None:
            super().__init__()
            self.segmenter = segmenter
            self.num_classes, self.map_channels = num_classes, map_channels

        def forward(self, image: Any) -> Any:
            """Computes one tensor without maps, else a tuple of `output_names`."""
            channels = self.segmenter(image)
            if not self.map_channels:
                if self.num_classes == 1:
                    return torch.sigmoid(channels)
                return torch.softmax(channels, dim=1)[:, 1:]
            probability = torch.sigmoid(channels[:, :1])
            maps = [channels[:, 1 + place : 2 + place] for place in range(self.map_channels)]
            if self.num_classes > 1:
                # The first class logit, that of background, has no part in the shares of the classes.
                shares = torch.softmax(channels[:, 2 + self.map_channels :], dim=1)
                probability = probability * shares
            return (probability, *maps)

    return Program
