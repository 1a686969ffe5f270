"""The writers of `export`: each writes a file, loads it by its own runtime, and compares it with the model."""

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from nucseg_jax.cli.export_card import ProgramFacts, program_card
from nucseg_jax.core.files import open_without_links
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.inference.export import PLATFORMS, export_model
from nucseg_jax.inference.export_bioimage import write_package
from nucseg_jax.inference.export_torch import (
    FACTS,
    OPSET,
    Runner,
    onnx_runner,
    output_names,
    torch_program,
    torchscript_runner,
    write_onnx,
    write_torchscript,
)
from nucseg_jax.model_folder.facts import ModelFacts
from nucseg_jax.model_folder.stored_weights import named_arrays
from nucseg_jax.ops.outputs import predicted_channels
from nucseg_jax.run import Run

# Of probabilities and maps, between a file in its own runtime and the model.
TOLERANCE = 1e-4
# Two programs of bfloat16 arithmetic round differently.
BFLOAT16_TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class Export:
    """An export under way.

    Attributes:
      run: the model.
      facts: about the model.
      channels: see `export_facts`; what the model takes and gives.
      image: uint8 [1, H, W, 3], to compare on.
      images_name: what it was taken from, for people.
      authors: of the weights, for bioimage.io.
    """

    run: Run
    facts: ModelFacts
    channels: dict[str, Any]
    image: np.ndarray
    images_name: str
    authors: tuple[str, ...] = ()

    @property
    def stride(self) -> int:
        """The encoder's output stride."""
        return self.run.experiment.model.encoder.output_stride

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs of ONNX and TorchScript."""
        return output_names(self.run.experiment.head)


@dataclasses.dataclass(frozen=True)
class Written:
    """A file that was written, loaded and compared.

    Attributes:
      title: of its format.
      rows: about the file, for the card.
      runtime: what ran it.
      difference: largest difference of an output from the model.
      load_with: Python that loads it.
      seconds: until it was loaded and had run.
    """

    title: str
    rows: dict[str, str]
    runtime: str
    difference: float
    load_with: str
    seconds: float


def images_of(kind: str, stride: int) -> str:
    """Describes the images that a format takes."""
    if kind == "stablehlo":
        return f"uint8 RGB (n, {stride}*h, {stride}*w, 3)"
    return f"float32 RGB (n, 3, {stride}*h, {stride}*w), 0..255"


def _stablehlo(job: Export, path: pathlib.Path) -> Written:
    run = job.run
    exported = export_model(run.experiment.model, run.variables, output_stride=job.stride)
    with open(path, "wb", opener=open_without_links) as file:
        file.write(exported.data)

    def load(path: pathlib.Path) -> Runner:
        program = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
        return lambda image: np.asarray(program(image))

    dtype = run.experiment.config.train.dtype
    tolerance = TOLERANCE if dtype == "float32" else BFLOAT16_TOLERANCE
    difference, seconds = compare(job, load, path, dtype, tolerance)
    return Written(
        "a StableHLO program",
        {"platforms": ", ".join(PLATFORMS), **_tensors(job, "float32 [N, H, W, channels]")},
        f"JAX {jax.__version__}",
        difference,
        "import jax\n"
        'program = jax.export.deserialize(bytearray(open(FILE, "rb").read()))\n'
        "channels = jax.jit(program.call)(image)",
        seconds,
    )


def _torchscript(job: Export, path: pathlib.Path) -> Written:
    import torch

    write_torchscript(path, _torch_program(job), stride=job.stride, facts=job.channels)
    difference, seconds = compare(job, torchscript_runner, path)
    return Written(
        "TorchScript",
        {"traced by": f"PyTorch {torch.__version__}; facts in its extra file {FACTS}", **_torch_tensors(job)},
        f"PyTorch {torch.__version__}",
        difference,
        "import torch\n"
        "program = torch.jit.load(FILE)\n"
        f"{', '.join(job.outputs)} = program(torch.from_numpy(image).permute(0, 3, 1, 2).float())",
        seconds,
    )


def _onnx(job: Export, path: pathlib.Path) -> Written:
    import onnxruntime

    write_onnx(path, _torch_program(job), stride=job.stride, outputs=job.outputs, facts=job.channels)
    difference, seconds = compare(job, onnx_runner, path)
    return Written(
        "ONNX",
        {"opset": f"{OPSET}; facts in its metadata, {FACTS}", **_torch_tensors(job)},
        f"ONNX Runtime {onnxruntime.__version__}",
        difference,
        "import onnxruntime\n"
        "session = onnxruntime.InferenceSession(FILE)\n"
        f'[{", ".join(job.outputs)}] = session.run(None, {{"image": image.transpose(0, 3, 1, 2).astype("float32")}})',
        seconds,
    )


def _bioimageio(job: Export, path: pathlib.Path) -> Written:
    """Packs ONNX and TorchScript, each compared by itself, with an image of the test split and its outputs."""
    with tempfile.TemporaryDirectory() as folder:
        weights = {name: pathlib.Path(folder, f"weights.{name}") for name in ("onnx", "pt")}
        parts = [_onnx(job, weights["onnx"]), _torchscript(job, weights["pt"])]
        about = ProgramFacts(
            "weights.onnx",
            "bioimage.io",
            parts[0].rows,
            parts[0].load_with,
            bytes_digest(weights["onnx"].read_bytes())["sha256"],
            compared_in_words(parts[0]),
        )
        write_package(
            path,
            weights,
            facts=job.facts,
            stride=job.stride,
            head=job.run.experiment.head,
            image=job.image,
            channels=onnx_runner(weights["onnx"])(job.image),
            card=program_card(job.run, job.facts, about),
            authors=job.authors,
        )
    return Written(
        "a bioimage.io package",
        parts[0].rows,
        " and ".join(part.runtime for part in parts),
        max(part.difference for part in parts),
        "import bioimageio.core\nsummary = bioimageio.core.test_model(FILE)\nprint(summary.status)",
        sum(part.seconds for part in parts),
    )


# By the name that --format has.
WRITERS: dict[str, Callable[[Export, pathlib.Path], Written]] = {
    "stablehlo": _stablehlo,
    "torchscript": _torchscript,
    "onnx": _onnx,
    "bioimageio": _bioimageio,
}


def _torch_program(job: Export) -> Any:
    return torch_program(job.run.experiment.model, named_arrays(job.run.variables))


def _tensors(job: Export, output: str) -> dict[str, str]:
    names = [channel["name"] for channel in job.channels["channels"]]
    return {
        "input": job.channels["images"],
        "output": f"{output}: {', '.join([*names, *job.run.experiment.head.maps])}",
    }


def _torch_tensors(job: Export) -> dict[str, str]:
    names = ", ".join(channel["name"] for channel in job.channels["channels"])
    maps = "".join(f"; `{name}` float32 [N, 1, H, W]" for name in job.outputs[1:])
    return {
        "input": f"`image` {job.channels['images']}",
        "output": f"`{job.outputs[0]}` float32 [N, channels, H, W], 0..1, of {names}{maps}",
    }


def compare(
    job: Export,
    load: Callable[[pathlib.Path], Runner],
    path: pathlib.Path,
    dtype: str = "float32",
    tolerance: float = TOLERANCE,
) -> tuple[float, float]:
    """Runs a file and the model on `job.image`, and on two smaller ones of noise, not square.

    Returns:
      The largest difference, and seconds until the file was loaded and had run.

    Raises:
      RuntimeError: it is above the tolerance, or an output is not finite.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2, 4 * job.stride, 6 * job.stride, 3), np.uint8)
    begin = time.perf_counter()
    run = load(path)
    found = [run(image) for image in (job.image, noise)]
    seconds = time.perf_counter() - begin
    model = model_of_dtype(job, dtype)
    expected = [model(image) for image in (job.image, noise)]
    difference = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    if not difference <= tolerance:
        raise RuntimeError(
            f"the exported file differs from the model by {difference:.1e}, more than {tolerance:g}; nothing was"
            " written"
        )
    return difference, seconds


def model_of_dtype(job: Export, dtype: str) -> Runner:
    """Returns the model as a function that computes in `dtype`, as the file does."""
    model, variables = job.run.experiment.model, job.run.variables
    if dtype == "float32":
        model = model.clone(encoder=model.encoder.clone(dtype=None), decoder=model.decoder.clone(dtype=None))

    @jax.jit
    def channels(variables: Any, image: jax.Array) -> jax.Array:
        return predicted_channels(model.apply(variables, image, train=False, method="outputs"))

    def run(image: np.ndarray) -> np.ndarray:
        # An accelerator's default takes fewer digits of each factor than the other runtimes do on the CPU.
        precise = jax.default_matmul_precision("highest") if dtype == "float32" else contextlib.nullcontext()
        with precise:
            return np.asarray(channels(variables, image))

    return run


def compared_in_words(written: Written) -> str:
    """Describes how a file was compared, for the card."""
    return (
        f"run by {written.runtime} on one image and on a batch of two of another size; largest difference of an output"
        f" from the model {written.difference:.1e}"
    )
