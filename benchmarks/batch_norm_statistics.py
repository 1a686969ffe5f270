"""Do pretrained weights meet the images they expect? Batch statistics against the stored moving ones.

    python benchmarks/batch_norm_statistics.py --weights=weights/resnet50 --images=FILE.npz [--images=...]

At every batch norm of the encoder, in inference mode, the mean and variance of what enters it are set beside the
moving mean and variance that the checkpoint brought. If layers, preprocessing and statistics belong together they
correlate over channels, most of all on photographs, which the weights were trained on; a fault of stride, padding,
channel order or scale lowers it from there on. FILE.npz holds an array `image`, uint8 [N, H, W, 3].
"""

import argparse
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import skimage.data
import skimage.transform
from flax import linen as nn

from nucseg_jax.cli.table import render
from nucseg_jax.models.build import build_encoder
from nucseg_jax.models.layers import BatchNorm
from nucseg_jax.ops.batch_norm import channel_moments
from nucseg_jax.pretrained.load import load_encoder
from nucseg_jax.pretrained.report import read_report

PX = 224
# Enough for steady statistics, few enough for the memory of a laptop.
IMAGES = 24
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "stereo_motorcycle")

Changes = dict[str, Callable[[np.ndarray], np.ndarray]]
# What goes wrong in practice; the agreement should tell each from the real thing.
FAULTS: Changes = {
    "channels swapped": lambda image: image[..., ::-1],
    "0..1 in place of 0..255": lambda image: image.astype(np.float32) / 255,
}


def photographs() -> np.ndarray:
    """Colour photographs that scikit-image brings along: uint8 [15, 224, 224, 3], three crops of each."""
    crops = []
    for name in PHOTOGRAPHS:
        image = getattr(skimage.data, name)()
        image = image[0] if isinstance(image, tuple) else image
        scale = 256 / min(image.shape[:2])
        size = [round(extent * scale) for extent in image.shape[:2]]
        image = skimage.transform.resize(image, size, anti_aliasing=True, preserve_range=True)
        for place in (0.0, 0.5, 1.0):
            top, left = (round(place * (extent - PX)) for extent in size)
            crops.append(image[top : top + PX, left : left + PX])
    return np.clip(np.round(crops), 0, 255).astype(np.uint8)


def spread(images: np.ndarray) -> np.ndarray:
    """At most `IMAGES` of them, evenly spread, cropped to 224 px."""
    rows = np.unique(np.linspace(0, len(images) - 1, IMAGES).astype(int))
    return images[rows, :PX, :PX]


def agreement(
    encoder: nn.Module, variables: dict[str, Any], images: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Correlation over channels at every batch norm, by its name, in order of depth.

    Args:
      encoder: a linen module.
      variables: its own.
      images: [N, H, W, 3], RGB, 0..255.

    Returns:
      Correlation of the means, and of the logarithms of the variances.
    """

    def moments_at_batch_norms(images: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        found = {}

        def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
                found[context.module.name] = channel_moments(args[0])
            return call(*args, **kwargs)

        with nn.intercept_methods(look):
            encoder.apply(variables, images, train=False)
        return found

    correlations = {}
    for name, (mean, variance) in jax.jit(moments_at_batch_norms)(images).items():
        moving = variables["batch_stats"][name]
        # A channel that never fires has variance zero here or there.
        alive = (np.asarray(variance) > 1e-12) & (moving["var"] > 1e-12)
        correlations[name] = (
            float(np.corrcoef(mean[alive], moving["mean"][alive])[0, 1]),
            float(np.corrcoef(np.log(variance[alive]), np.log(moving["var"][alive]))[0, 1]),
        )
    return correlations


def summary_row(name: str, correlations: dict[str, tuple[float, float]]) -> tuple[str, ...]:
    """Median over batch norms, the least and where it is, of the means and of the variances."""
    cells = [name]
    for column in (0, 1):
        values = {layer: pair[column] for layer, pair in correlations.items()}
        least = min(values, key=lambda layer: values[layer])
        cells += [f"{np.median(list(values.values())):.3f}", f"{values[least]:.3f} {least}"]
    return tuple(cells)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=pathlib.Path, required=True, help="a folder that convert wrote")
    parser.add_argument(
        "--images", type=pathlib.Path, action="append", default=[], help="an .npz with `image`"
    )
    options = parser.parse_args(arguments)
    report = read_report(options.weights)
    encoder = build_encoder(report.encoder, extent=report.extent)
    variables = load_encoder(options.weights, report.encoder, encoder).variables

    sets = {"photographs": photographs()}
    for path in options.images:
        with np.load(path) as file:
            sets[path.stem] = spread(file["image"])
    for fault, change in FAULTS.items():
        sets[f"photographs, {fault}"] = change(sets["photographs"])
    rows = [summary_row(name, agreement(encoder, variables, images)) for name, images in sets.items()]
    headers = ("correlation over channels", "means: median", "least", "variances: median", "least")
    print(render(headers, rows))


if __name__ == "__main__":
    main()
