"""Writes keras_layers.json: the layers with weights of real Keras models, in the order of `model.layers`.

Run by hand where TensorFlow is installed; 2.15.1 (Keras 2.15) and 2.21 (Keras 3.15) give the same file.
"""

import json
import pathlib

import keras

MODELS = {
    "resnet50": keras.applications.ResNet50,
    "efficientnet_b4": keras.applications.EfficientNetB4,
}

layers = {
    name: [
        [type(layer).__name__, layer.name]
        for layer in build(weights=None, include_top=False).layers
        if layer.weights
    ]
    for name, build in MODELS.items()
}
text = json.dumps(layers).replace("[[", "[\n[").replace("], [", "],\n[")
(pathlib.Path(__file__).parent / "keras_layers.json").write_text(text + "\n")
