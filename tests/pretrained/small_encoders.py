"""Small encoders with random values, and files of them in the layouts that the frameworks write.

The layouts were compared with files of Keras 2.15.1 and 3.15.1, torchvision 0.28 and timm 1.0.31; the order of
Keras's layers is a record of its own models (keras_layers.json).
"""

import dataclasses
import io
import json
import pathlib
import zipfile

import h5py
import numpy as np
import safetensors.numpy

from nucseg_jax.models.build import build_encoder
from nucseg_jax.pretrained.target import Target, target_of

WIDTH = 0.125
DEPTHS = {
    "resnet50": (1, 2, 1, 1),
    "resnet50_v1_5": (1, 2, 1, 1),
    "efficientnet_b4": (1, 2, 1, 1, 1, 2, 1),
    "convnext_tiny": (1, 2, 1, 1),
}
LAYERS = json.loads((pathlib.Path(__file__).parent / "keras_layers.json").read_text())
WEIGHTS = {
    "Conv2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel",),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
}
GROUPS = {
    "Conv2D": "conv2d",
    "DepthwiseConv2D": "depthwise_conv2d",
    "BatchNormalization": "batch_normalization",
    "Normalization": "normalization",
    "Dense": "dense",
}
OURS = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
TORCH = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


@dataclasses.dataclass(frozen=True)
class Net:
    """A small encoder, its random values by name here, and writers of files."""

    target: Target
    values: dict[str, np.ndarray]

    def module(self, extent="whole", **changes):
        """The module that these values fit."""
        published = build_encoder(self.target.encoder, extent=extent).depths
        depths = DEPTHS[self.target.encoder][: len(published)]
        options = dict(extent=extent, width=WIDTH, encoder_depths=depths) | changes
        return build_encoder(self.target.encoder, **options)

    def cut(self):
        """The same with the values of the cut encoder alone."""
        return dataclasses.replace(
            self, values={name: self.values[name] for name in self.target.shapes["cut"]}
        )

    def changed(self, **values):
        """The same with some values exchanged, 'layer__leaf', or removed (None)."""
        changes = {name.replace("__", "/"): value for name, value in values.items()}
        merged = {**self.values, **changes}
        return dataclasses.replace(
            self, values={name: value for name, value in merged.items() if value is not None}
        )

    def keras_layers(self, top=True):
        """(class, layer, {weight: array}) as `model.layers` has them, with a classifier if asked for."""
        layers = []
        for layer_class, layer in LAYERS[self.target.encoder]:
            weights = {}
            for weight in WEIGHTS[layer_class]:
                value = self.values.get(f"{layer}/{OURS.get(weight, weight)}")
                if value is not None:
                    is_depthwise = layer_class == "DepthwiseConv2D"
                    weights[weight] = value.transpose(0, 1, 3, 2) if is_depthwise else value
            if weights:
                layers.append((layer_class, layer, weights))
        if top:
            dense = {"kernel": np.ones((8, 5), np.float32), "bias": np.ones(5, np.float32)}
            layers.append(("Dense", "predictions", dense))
        return layers

    def config(self, rescale_behind=None):
        """What Keras writes of the model's layers, as far as it matters."""
        layers = [{"class_name": "InputLayer", "config": {"name": "input_layer"}}]
        if self.target.encoder.startswith("efficientnet"):
            rescaling = {"name": "rescaling", "scale": 1 / 255, "offset": 0.0}
            layers.append({"class_name": "Rescaling", "config": rescaling})
        for layer_class, layer, _ in self.keras_layers():
            layers.append({"class_name": layer_class, "config": {"name": layer}})
            if layer_class == "Normalization" and rescale_behind is not None:
                rescaling = {"name": "rescaling_1", "scale": rescale_behind, "offset": 0.0}
                layers.append({"class_name": "Rescaling", "config": rescaling})
        return {"class_name": "Functional", "config": {"name": "a_model", "layers": layers}}

    def write_legacy_h5(self, path, *, keras=3, whole=False, top=True, split_names=False, **config):
        """`save_weights` of Keras 2, or `save` of Keras 2 and 3, to `.h5`."""
        with h5py.File(path, "w") as file:
            root = file.create_group("model_weights") if whole else file
            if whole:
                file.attrs["model_config"] = json.dumps(self.config(**config))
                file.create_group("optimizer_weights/adam").create_dataset("iteration", data=np.int64(3))
                root.create_group("top_level_model_weights").attrs["weight_names"] = np.array([], "S1")
            names = ["input_1"]
            root.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
            for layer_class, layer, weights in self.keras_layers(top):
                names.append(layer)
                group = root.create_group(layer)
                weight_names = []
                for weight, value in weights.items():
                    if keras == 2 and layer_class == "DepthwiseConv2D":
                        weight = "depthwise_kernel"
                    name = f"{layer}/{weight}" + (":0" if keras == 2 else "")
                    weight_names.append(name)
                    group.create_dataset(name, data=value)
                group.attrs["weight_names"] = np.array(weight_names, "S")
            if split_names:
                root.attrs["layer_names0"] = np.array(names[:3], "S")
                root.attrs["layer_names1"] = np.array(names[3:], "S")
            else:
                root.attrs["layer_names"] = np.array(names, "S")

    def write_weights_h5(self, path, *, named=False, top=True):
        """`save_weights` of Keras 3 and 2.13 on; only newer ones write the layers' names."""
        with h5py.File(path, "w") as file:
            file.create_group("vars")
            counts = {}
            for layer_class, layer, weights in self.keras_layers(top):
                group = GROUPS[layer_class]
                number = counts.get(group, 0)
                counts[group] = number + 1
                variables = file.create_group(
                    f"layers/{group}_{number}/vars" if number else f"layers/{group}/vars"
                )
                if named:
                    variables.attrs["name"] = layer
                for index, value in enumerate(weights.values()):
                    dataset = variables.create_dataset(str(index), data=value)
                    if value.dtype.name == "bfloat16":
                        dataset.attrs["dtype"] = "bfloat16"

    def write_keras(self, path, *, compression=zipfile.ZIP_STORED, **config):
        """`save` of Keras 3."""
        weights = io.BytesIO()
        self.write_weights_h5(weights)
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
            archive.writestr("config.json", json.dumps(self.config(**config)))
            archive.writestr("model.weights.h5", weights.getvalue())

    def write_npz(self, path):
        """The layout of ../shared/weights."""
        np.savez(
            path,
            **{
                f"{layer}/{weight}": value
                for _, layer, weights in self.keras_layers(top=False)
                for weight, value in weights.items()
            },
        )

    def torch_state(self):
        """torchvision's names and layouts, classifier and counters of batches included."""
        state = {"fc.weight": np.ones((5, 8), np.float32), "fc.bias": np.ones(5, np.float32)}
        for name, value in self.values.items():
            layer, leaf = name.split("/")
            kind = layer.rpartition("_")[2]
            if layer.startswith("conv1_"):
                module = f"{kind}1"
            else:
                stage, block, part, _ = layer.split("_")
                module = f"layer{int(stage[4:]) - 1}.{int(block[5:]) - 1}."
                module += f"downsample.{int(kind == 'bn')}" if part == "0" else f"{kind}{part}"
            state[f"{module}.{TORCH[leaf]}"] = value.transpose(3, 2, 0, 1) if leaf == "kernel" else value
            if leaf == "var":
                state[f"{module}.num_batches_tracked"] = np.array(7)
        return {name: np.ascontiguousarray(value) for name, value in state.items()}

    def convnext_state(self, library):
        """timm's or torchvision's names and layouts, classifier included."""
        head = ("head.norm", "head.fc") if library == "timm" else ("classifier.0", "classifier.2")
        state = {
            f"{layer}.{leaf}": np.ones((5, 8) if leaf == "weight" else 5)
            for layer in head
            for leaf in ("weight", "bias")
        }
        for name, value in self.values.items():
            layer, leaf = name.split("/")
            parts = layer.split("_")
            if layer.startswith("stem"):
                theirs = f"stem.{parts[1]}" if library == "timm" else f"features.0.{parts[1]}"
            else:
                stage, kind, number, part = int(parts[1]), parts[2], parts[3], "_".join(parts[4:])
                if library == "timm":
                    theirs = f"stages.{stage}.{kind}.{number}" + (
                        f".{part.replace('mlp_', 'mlp.')}" if part else ""
                    )
                elif kind == "downsample":
                    theirs = f"features.{2 * stage}.{number}"
                else:
                    places = {
                        "conv_dw": ".block.0",
                        "norm": ".block.2",
                        "mlp_fc1": ".block.3",
                        "mlp_fc2": ".block.5",
                    }
                    theirs = f"features.{2 * stage + 1}.{number}{places.get(part, '')}"
            if leaf == "gamma":
                theirs = (
                    theirs.replace("layer_scale", "gamma") if library == "timm" else f"{theirs}.layer_scale"
                )
                value = value if library == "timm" else value[:, None, None]
            else:
                theirs += ".bias" if leaf == "bias" else ".weight"
            if leaf == "kernel":
                value = value[0, 0].T if "mlp" in name else value.transpose(3, 2, 0, 1)
            state[theirs] = value
        return {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}

    def write_safetensors(self, path):
        """As timm publishes."""
        safetensors.numpy.save_file(self.torch_state(), path, metadata={"format": "pt"})


def make_net(encoder: str) -> Net:
    target = target_of(encoder, width=WIDTH, encoder_depths=DEPTHS[encoder])
    generator = np.random.default_rng(len(encoder))
    values = {}
    for name, shape in target.shapes["whole"].items():
        value = generator.uniform(0.5, 1.5, shape) if name.endswith("var") else generator.normal(size=shape)
        values[name] = value.astype(np.float32)
    if "normalization/mean" in values:
        values["normalization/mean"] = np.array([0.4, 0.5, 0.6], np.float32)
        values["normalization/variance"] = np.array([0.04, 0.05, 0.06], np.float32)
        values["normalization/count"] = np.float32(9)
    return Net(target, values)
