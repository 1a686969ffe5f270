"""The stages of encoders, by which layers are frozen."""

import jax
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.models.build import build_encoder
from nucseg_jax.models.frozen_stages import frozen_mask, is_frozen, stages_through


@pytest.mark.parametrize(
    "name", ["resnet50", "resnet50_v1_5", "efficientnet_b0", "efficientnet_b4", "convnext_tiny"]
)
@pytest.mark.parametrize("extent", ["cut", "whole"])
def test_every_layer_of_an_encoder_is_in_exactly_one_stage(name, extent):
    depths = (2,) * len(build_encoder(name, extent=extent).depths)
    encoder = build_encoder(name, extent=extent, encoder_depths=depths)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.uint8)
    params = jax.eval_shape(lambda x: encoder.init(jax.random.key(0), x, train=False), image)["params"]
    for layer in params:
        assert sum(is_frozen(f"encoder/{layer}/kernel", [stage]) for stage in encoder.stages) == 1, layer
    for stage in encoder.stages:
        assert any(jax.tree.leaves(frozen_mask({"encoder": params}, [stage]))), stage


def test_stages_are_chosen_by_name():
    stages = ("stem", "block1", "block2")
    assert stages_through(stages, "") == ()
    assert stages_through(stages, "block1") == ("stem", "block1")
    assert stages_through(stages, "all") == stages
    with pytest.raises(UserError, match="stem, block1, block2"):
        stages_through(stages, "block9")
