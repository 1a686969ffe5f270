"""A model as one StableHLO program (`jax.export`): bytes in, images in, probabilities out; needs only JAX to run.

import jax
program = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))
probability = jax.jit(program.call)(image)
is_nucleus = probability.sum(-1) > 0.5
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.stored_rule import rule_to_json
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS, ANY_COLOR
from nucseg_jax.models.segmenter import Segmenter
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.ops.outputs import predicted_channels
from nucseg_jax.ops.probability import FOREGROUND_RULE
from nucseg_jax.ops.stain_normalization.stored_target import target_to_json
from nucseg_jax.ops.stain_normalization.target import StainTarget

PLATFORMS = ("cpu", "cuda", "tpu")


def export_facts(
    images: str,
    info: DatasetInfo,
    *,
    num_classes: int,
    head: Head,
    rule: NucleusRule,
    stain: StainTarget | None = None,
) -> dict[str, Any]:
    """Describes the images and channels of an exported model to its callers, as JSON values.

    Args:
      images: what it takes, such as 'uint8 RGB (n, 16*h, 16*w, 3)'.
      info: of the data set that the model was trained on.
      num_classes: C of the model.
      head: its instance head.
      rule: what counts as a nucleus; told only of a model with maps.
      stain: what images must be normalised to before the model takes them, which it does not do; None = nothing.
    """
    classes = [{"name": each.name, "color": list(each.color)} for each in info.classes]
    return {
        "data_set": info.name,
        "images": images,
        "microns_per_px": info.microns_per_px,
        "patch_px": info.patch_px,
        "channels": classes if num_classes > 1 else [{"name": ANY_CLASS, "color": list(ANY_COLOR)}],
        **({"maps": list(head.maps), "nucleus_rule": rule_to_json(rule)} if head.maps else {}),
        "foreground_rule": FOREGROUND_RULE,
        **({} if stain is None else {"stain_target": target_to_json(stain)}),
    }


class ExportedModel(NamedTuple):
    """A program.

    Attributes:
      data: what `jax.export.deserialize` takes; weights and preprocessing are inside.
      shape: of the images it takes, uint8, such as '(n, 16*h, 16*w, 3)'; letters stand for any number.
    """

    data: bytes
    shape: str


def export_model(model: Segmenter, variables: Any, *, output_stride: int) -> ExportedModel:
    """Exports a model for CPU, CUDA and TPU, for any number of images of any size that it can take.

    One program for all platforms: every operation is XLA's own, without the lowerings that are faster on CPU.

    Args:
      model: such as `create_model` gives.
      variables: of the model; become constants of the program.
      output_stride: height and width are multiples of it.

    Returns:
      A program from uint8 RGB [N, H, W, 3] to float32 [N, H, W, F + M], the probability of each foreground class, then
      the maps of the instance head. The package's own rule (`ops.probability`): nucleus where the sum over F > 0.5, its
      class the likeliest of them.
    """
    constants = jax.tree.map(np.asarray, variables)

    # A function of its own each time: JAX keeps traces, and this one is meant for no platform in particular.
    def probability(image: jax.Array) -> jax.Array:
        outputs: Any = model.apply(constants, image, train=False, method="outputs")
        return predicted_channels(outputs)

    shape = f"n, {output_stride}*h, {output_stride}*w, 3"
    with traced_for("any"):
        exported = jax.export.export(jax.jit(probability), platforms=PLATFORMS)(
            jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), jnp.uint8)
        )
    return ExportedModel(bytes(exported.serialize()), f"({shape})")
