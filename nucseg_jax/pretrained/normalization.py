"""The true variance of Keras's Normalization layer in EfficientNets.

Keras computes (x / 255 - mean) / sqrt(variance). The official ImageNet files store the standard deviation
(.229, .224, .225) where the variance belongs, and Keras makes up for it in the model that it builds for those
files alone, by a Rescaling layer of 1 / sqrt(standard deviation) behind. Here the constants hold the variance of
one plain normalisation: variance / rescale^2.
"""

import numpy as np

from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.core.strict_json import JsonObject

_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_TOLERANCE = 1e-3
_DIVISOR = 255.0
_AS_IT_IS = (
    "normalization/variance is ImageNet's standard deviation, and the model in the file has no Rescaling behind it:"
    " taken as it is, so that it computes what that model computes"
)


def true_variance(stored: np.ndarray, config: JsonObject | None) -> tuple[np.ndarray, str]:
    """The variance of one plain normalisation, and what was done to the stored one, in words ('' for nothing).

    Args:
      stored: float32 [3], as the file has it.
      config: the model's configuration, if the file has one; it states whether there is a Rescaling behind.

    Raises:
      UserError: the configuration states that the input is treated in a way that these constants cannot express.
    """
    if config is not None:
        rescale = _rescale_behind(config)
        if rescale is None:
            return stored, _AS_IT_IS if _is_deviation(stored) else ""
        variance = (stored.astype(np.float64) / np.square(rescale)).astype(np.float32)
        return variance, "normalization/variance divided by the square of the Rescaling layer behind it"
    if _is_deviation(stored):
        variance = np.square(stored.astype(np.float64)).astype(np.float32)
        return variance, "normalization/variance squared: the file stores the standard deviation there"
    return stored, ""


def _is_deviation(stored: np.ndarray) -> bool:
    return np.allclose(stored, _IMAGENET_DEVIATION, rtol=0, atol=_TOLERANCE)


def _rescale_behind(config: JsonObject) -> np.ndarray | None:
    """The factors of the Rescaling layer behind the Normalization, None if there is none."""
    try:
        layers = [(layer["class_name"], layer["config"]) for layer in config["config"]["layers"]]
        classes = [layer_class for layer_class, _ in layers]
        place = classes.index("Normalization")
        before = [_numbers(layer) for layer_class, layer in layers[:place] if layer_class == "Rescaling"]
        behind = [_numbers(layer) for layer_class, layer in layers[place:] if layer_class == "Rescaling"]
    except (KeyError, TypeError, ValueError) as error:
        raise _other_input(f"its configuration cannot be read ({reason_of(error)})") from error
    if len(before) != 1 or not np.allclose(before[0][0], 1 / _DIVISOR, rtol=1e-6) or np.any(before[0][1]):
        raise _other_input("there is no single Rescaling by 1/255 before its Normalization")
    if len(behind) > 1 or any(np.any(offset) or scale.shape not in ((), (3,)) for scale, offset in behind):
        raise _other_input("what comes behind its Normalization is not one Rescaling without offset")
    return np.broadcast_to(behind[0][0], (3,)) if behind else None


def _numbers(layer: JsonObject) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of a Rescaling layer."""
    return np.asarray(layer["scale"], np.float64), np.asarray(layer["offset"], np.float64)


def _other_input(found: str) -> UserError:
    return UserError(
        f"The model treats its input in its own way: {found}.",
        expected="an EfficientNet as keras.applications builds it: Rescaling, Normalization and, with ImageNet"
        " weights, one more Rescaling",
        advice="save its weights alone with model.save_weights('NAME.weights.h5') if that is what it is",
    )
