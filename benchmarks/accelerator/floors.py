"""The fastest that a training step could be on a device, for the distance of a measurement to it.

A step is bounded by its arithmetic, three forward passes, or by its traffic: about 15 passes over the outputs of the
convolutions, two bytes an element in bfloat16. A device reaches about .8 of its peak arithmetic, .9 of its bandwidth.
"""

from nucseg_jax.runtime.device_facts import DeviceFacts

# Million elements that the convolutions of a 256 px image put out, and its forward pass in 10^9 operations.
MODELS = {
    "unet_resnet50": (31.4, 35.3),
    "unet_efficientnet_b4": (43.5, 57.8),
    "deeplabv3plus_resnet50": (18.5, 60.2),
    "deeplabv3plus_efficientnet_b4": (25.5, 30.8),
}
PASSES, BYTES, FORWARD_PASSES = 15, 2, 3
ARITHMETIC_SHARE, BANDWIDTH_SHARE = 0.8, 0.9


def training_floor(model: str, facts: DeviceFacts) -> float | None:
    """Returns images a second that bfloat16 training at 256 px cannot exceed; None where that is not known.

    Args:
      model: name of a paper config.
      facts: of the device.
    """
    if model not in MODELS or facts.bfloat16_flops is None:
        return None
    elements, operations = MODELS[model]
    by_memory = BANDWIDTH_SHARE * facts.bytes_per_second / (PASSES * BYTES * elements * 1e6)
    by_arithmetic = ARITHMETIC_SHARE * facts.bfloat16_flops / (FORWARD_PASSES * operations * 1e9)
    return min(by_memory, by_arithmetic)
