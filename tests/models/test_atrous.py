"""Stride traded for dilation changes where a network looks, not what it computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.models.atrous import stage_geometries
from nucseg_jax.models.build import build_encoder
from nucseg_jax.models.initial import initial_variables

PX = 64


def test_strides_beyond_the_output_stride_become_dilations():
    def summary(output_stride):
        geometries = stage_geometries((1, 2, 2, 2), stem_stride=4, output_stride=output_stride)
        return [(g.stride, g.dilation_before, g.dilation, g.output_stride) for g in geometries]

    assert summary(32) == [(1, 1, 1, 4), (2, 1, 1, 8), (2, 1, 1, 16), (2, 1, 1, 32)]
    assert summary(16) == [(1, 1, 1, 4), (2, 1, 1, 8), (2, 1, 1, 16), (1, 1, 2, 16)]
    assert summary(8) == [(1, 1, 1, 4), (2, 1, 1, 8), (1, 1, 2, 8), (1, 2, 4, 8)]


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    "name", ["resnet50", "resnet50_v1_5", pytest.param("efficientnet_b0", marks=pytest.mark.long)]
)
def test_the_dense_output_holds_that_of_the_strided_network(name, output_stride):
    """At the pixels where the strided network has output, equal; at the others, more of the same.

    Squeeze-and-excite averages over all pixels, and these differ: its gates are held constant here.
    """
    depths = (2, 2, 2, 2) if name.startswith("resnet") else (1, 2, 2, 1, 1, 2, 1)

    def run(stride):
        encoder = build_encoder(
            name, extent="whole", output_stride=stride, width=0.125, encoder_depths=depths
        )
        image = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, PX, PX, 3)), jnp.uint8)
        variables = initial_variables(encoder, 0, px=PX)
        params = {
            layer: jax.tree.map(jnp.zeros_like, leaves) if "_se_" in layer else leaves
            for layer, leaves in variables["params"].items()
        }
        variables = {**variables, "params": params}
        return np.asarray(jax.jit(lambda x: encoder.apply(variables, x, train=False).output)(image))

    strided, dense = run(32), run(output_stride)
    factor = 32 // output_stride
    # A ResNet's strided convolution stands on the first pixel of each group, TensorFlow's 'SAME' on the last.
    first = 0 if name.startswith("resnet") else factor - 1
    scale = np.abs(strided).max()
    assert dense.shape[1] == PX // output_stride
    assert scale > 0
    np.testing.assert_allclose(dense[:, first::factor, first::factor], strided, rtol=0, atol=1e-5 * scale)
    assert not np.allclose(dense[:, :1, 1 - first % 2], dense[:, :1, first % 2], atol=1e-3 * scale)
