"""A model as a bioimage.io package: a zip archive of rdf.yaml, weights as ONNX and TorchScript, a test image and docs.

The description is of format 0.5.4, which later readers take too. rdf.yaml is written as JSON, of which YAML is a
superset. Equal inputs give equal bytes but for the weights, whose writers keep no such promise.
"""

import datetime as dt
import io
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from nucseg_jax.core.files import json_text
from nucseg_jax.core.seal import bytes_digest
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.inference.export_torch import IMAGE, OPSET, PROBABILITY, as_input
from nucseg_jax.inference.nuclei.any_class import ANY_CLASS
from nucseg_jax.model_folder.facts import ModelFacts, first_line

FORMAT_VERSION = "0.5.4"
RDF, CARD, COVER = "rdf.yaml", "README.md", "cover.png"
_COVER_PX = 512
# A description may have this many characters, and a name these.
_LONGEST_NAME = 64
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_+\- ()]")
# A fixed time in the archive, the earliest that zip has.
_TIME = (1980, 1, 1, 0, 0, 0)

# Where a citation leads: the key of bioimage.io, its pattern in the text, and what comes before it in an address.
_ADDRESSES = (
    ("doi", r"\b(10\.\d{4,9}/[^\s{},;\"]+)", ""),
    ("url", r"(https?://[^\s{},;\"]+)", ""),
    ("url", r"\barXiv:(\d{4}\.\d{4,5})", "https://arxiv.org/abs/"),
)
# Papers of the parts, by the beginning of their names.
_PAPERS = {
    "unet": ("Ronneberger et al. 2015, U-Net", "https://arxiv.org/abs/1505.04597"),
    "deeplabv3plus": ("Chen et al. 2018, DeepLabV3+", "https://arxiv.org/abs/1802.02611"),
    "fpn": ("Lin et al. 2017, Feature Pyramid Networks", "https://arxiv.org/abs/1612.03144"),
    "resnet": ("He et al. 2016, ResNet", "https://arxiv.org/abs/1512.03385"),
    "efficientnet": ("Tan and Le 2019, EfficientNet", "https://arxiv.org/abs/1905.11946"),
    "convnext": ("Liu et al. 2022, ConvNeXt", "https://arxiv.org/abs/2201.03545"),
    "hover": ("Graham et al. 2019, HoVer-Net", "https://arxiv.org/abs/1812.06499"),
}


def write_package(
    path: pathlib.Path,
    weights: Mapping[str, pathlib.Path],
    *,
    facts: ModelFacts,
    stride: int,
    head: Head,
    image: np.ndarray,
    channels: np.ndarray,
    card: str,
    authors: Sequence[str],
) -> None:
    """Writes the archive.

    Args:
      path: the file.
      weights: files 'onnx' and 'pt', of `export_torch`.
      facts: about the model.
      stride: the encoder's output stride.
      head: the instance head.
      image: uint8 [1, H, W, 3], the test image.
      channels: float32 [1, H, W, F + M], the model's outputs for it.
      card: the model card, Markdown.
      authors: of the weights.
    """
    import torch

    nuclei = channels.shape[-1] - len(head.maps)
    outputs = {PROBABILITY: channels[..., :nuclei]}
    outputs |= {name: channels[..., nuclei + place :][..., :1] for place, name in enumerate(head.maps)}
    files = {
        "weights.onnx": weights["onnx"].read_bytes(),
        "weights.pt": weights["pt"].read_bytes(),
        f"test_{IMAGE}.npy": _npy(as_input(image)),
        **{f"test_{name}.npy": _npy(value.transpose(0, 3, 1, 2)) for name, value in outputs.items()},
        COVER: _cover(image[0], channels[0, ..., :nuclei].sum(-1)),
        CARD: card.encode(),
    }
    names = list(facts.info.class_names) if facts.model["num_classes"] != 1 else [ANY_CLASS]
    description = rdf(
        facts,
        stride=stride,
        classes=names,
        maps=head.maps,
        authors=authors,
        digests={name: bytes_digest(content)["sha256"] for name, content in files.items()},
        torch_version=torch.__version__.partition("+")[0],
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {RDF: json_text(description).encode(), **files}.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def rdf(
    facts: ModelFacts,
    *,
    stride: int,
    classes: Sequence[str],
    maps: Sequence[str],
    authors: Sequence[str],
    digests: Mapping[str, str],
    torch_version: str,
) -> dict[str, Any]:
    """Describes a model as bioimage.io has it, as JSON values.

    Args:
      facts: about the model.
      stride: the encoder's output stride.
      classes: names of the channels of `probability`.
      maps: names of the maps of the instance head.
      authors: of the weights.
      digests: SHA-256 of the files of the package, by name.
      torch_version: that wrote the TorchScript file.
    """
    info, model = facts.info, facts.model

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": digests[name]}

    def axes(channels: Sequence[str], *, is_input: bool) -> list[dict[str, Any]]:
        space = [
            {
                "type": "space",
                "id": axis,
                "unit": "micrometer",
                "scale": info.microns_per_px,
                "size": {"min": 4 * stride, "step": stride}
                if is_input
                else {"tensor_id": IMAGE, "axis_id": axis},
            }
            for axis in "yx"
        ]
        return [{"type": "batch"}, {"type": "channel", "channel_names": list(channels)}, *space]

    def output(name: str, channels: Sequence[str], description: str, least: float | None) -> dict[str, Any]:
        return {
            "id": name,
            "description": description,
            "axes": axes(channels, is_input=False),
            "data": {"type": "float32", "range": [least, None if least is None else 1.0]},
            "test_tensor": file(f"test_{name}.npy"),
        }

    licence = spdx(facts.licence)
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": name_of(facts),
        "description": f"Nucleus segmentation of H&E images at {info.microns_per_px:g} microns per pixel:"
        f" {model['decoder']} on {model['encoder']}, trained on {info.name}.",
        "timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "authors": [{"name": author} for author in authors],
        "cite": citations(facts),
        **({"license": licence} if licence else {}),
        "documentation": file(CARD),
        "covers": [file(COVER)],
        "tags": [
            *("nucleus", "segmentation", "semantic-segmentation", "histology", "H&E", "2d", "rgb"),
            *(["instance-segmentation"] if maps else []),
            *("pytorch", "onnx", str(model["decoder"]), str(model["encoder"])),
        ],
        "inputs": [
            {
                "id": IMAGE,
                "description": "H&E, RGB, 0..255",
                "axes": axes(("red", "green", "blue"), is_input=True),
                "data": {"type": "float32", "range": [0.0, 255.0]},
                "preprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
                "test_tensor": file(f"test_{IMAGE}.npy"),
            }
        ],
        "outputs": [
            output(PROBABILITY, classes, "probability of each kind of nucleus", 0.0),
            *(output(name, (name,), f"map of the instance head: {name}", None) for name in maps),
        ],
        "weights": {
            "torchscript": {**file("weights.pt"), "pytorch_version": torch_version},
            "onnx": {**file("weights.onnx"), "opset_version": OPSET, "parent": "torchscript"},
        },
        "config": {"nucseg_jax": {"licence": facts.licence, "checkpoint_step": facts.checkpoint_step}},
    }


def name_of(facts: ModelFacts) -> str:
    """Returns a name of the characters that bioimage.io allows, 5 to 64 of them."""
    text = f"Nuclei in H and E, {facts.info.name}, {facts.model['decoder']} {facts.model['encoder']}"
    return _NOT_IN_A_NAME.sub("", text)[:_LONGEST_NAME].strip()


def citations(facts: ModelFacts) -> list[dict[str, str]]:
    """Returns papers of the model's parts, and the data set's citation where it names a DOI or an address."""
    parts = [str(facts.model[part]) for part in ("decoder", "encoder", "head")]
    found = [
        {"text": text, "url": url}
        for start, (text, url) in _PAPERS.items()
        if any(part.startswith(start) for part in parts)
    ]
    text = " ".join(facts.info.citation.split())
    for key, pattern, address in _ADDRESSES:
        match = re.search(pattern, text)
        if match:
            return [*found, {"text": text, key: address + match.group(1).rstrip(".")}]
    return found


def spdx(licence: str) -> str | None:
    """Returns the SPDX identifier that the first line of a licence names; None where it names none of the usual ones.

    >>> spdx("CC BY-NC-SA 4.0"), spdx("Attribution 4.0 International (CC BY 4.0)"), spdx("Apache-2.0"), spdx("ask us")
    ('CC-BY-NC-SA-4.0', 'CC-BY-4.0', 'Apache-2.0', None)
    """
    found = re.search(
        r"\b(CC[ -]BY(-NC)?(-SA|-ND)?[ -][234]\.0|CC0[ -]1\.0|Apache[ -]2\.0|MIT)\b", first_line(licence)
    )
    return found.group().replace(" ", "-") if found else None


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return content.getvalue()


def _cover(image: np.ndarray, nucleus: np.ndarray) -> bytes:
    """Returns a PNG, twice as wide as high: the image, and beside it the probability of nucleus."""
    side = min(image.shape[:2])
    halves = [image[:side, :side], (np.clip(nucleus[:side, :side, None], 0, 1) * 255).astype(np.uint8)]
    joined = np.concatenate([halves[0], halves[1].repeat(3, axis=2)], axis=1)
    picture = Image.fromarray(joined)
    picture.thumbnail((_COVER_PX, _COVER_PX))
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()
