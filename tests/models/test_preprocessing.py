import jax
import jax.numpy as jnp
import numpy as np

from nucseg_jax.models.layers import CONSTANTS, Normalization
from nucseg_jax.models.preprocessing import CAFFE, IMAGENET, preprocess

PIXEL = np.array([10.0, 20.0, 30.0], np.float32).reshape(1, 1, 1, 3)


def test_caffe_is_blue_green_red_minus_means():
    """keras.applications.resnet.preprocess_input."""
    found = jax.jit(lambda x: preprocess(x, CAFFE))(PIXEL).ravel()
    np.testing.assert_allclose(found, [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-6)


def test_imagenet_is_red_green_blue_by_mean_and_deviation():
    """torchvision's transforms after ToTensor."""
    found = jax.jit(lambda x: preprocess(x, IMAGENET))(PIXEL).ravel()
    expected = [(10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, (30 / 255 - 0.406) / 0.225]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_normalization_layer_starts_as_imagenets_and_follows_its_constants():
    layer = Normalization(IMAGENET)
    variables = layer.init(jax.random.key(0), PIXEL)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables[CONSTANTS])) == 7
    np.testing.assert_allclose(layer.apply(variables, PIXEL), preprocess(PIXEL, IMAGENET), rtol=1e-6)
    none = {CONSTANTS: {"mean": jnp.zeros(3), "variance": jnp.ones(3), "count": jnp.zeros(())}}
    np.testing.assert_allclose(layer.apply(none, PIXEL), PIXEL / 255, rtol=1e-6)
