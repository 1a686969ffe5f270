"""Writes what TensorFlow 2.15's BatchNormalization, the paper's, does to its moving statistics in one step.

`python -m tests.parity.make_tensorflow_2_15_fixture`, from the project's root, in an environment with
tensorflow-cpu==2.15.* and nothing of this project.
"""

import numpy as np
import tensorflow as tf

from tests.parity.batch_norm_case import FIXTURE, IMAGE, VARIABLES


def main() -> None:
    """One layer with default arguments, in training mode."""
    if not tf.__version__.startswith("2.15."):
        raise SystemExit(f"this is TensorFlow {tf.__version__}, and 2.15 is wanted")
    layer = tf.keras.layers.BatchNormalization()
    layer.build(IMAGE.shape)
    layer.set_weights([VARIABLES[name] for name in ("scale", "bias", "mean", "var")])
    result = layer(IMAGE, training=True)
    np.savez(
        FIXTURE,
        reference=np.array(f"TensorFlow {tf.__version__}"),
        result=result.numpy(),
        mean=layer.moving_mean.numpy(),
        var=layer.moving_variance.numpy(),
    )


if __name__ == "__main__":
    main()
