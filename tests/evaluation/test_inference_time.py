import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.evaluation import inference_time
from nucseg_jax.runtime.mesh import make_mesh


@pytest.mark.parametrize(("devices", "batch_sizes"), [(1, [1, 8]), (4, [8]), (3, [])])
def test_an_entry_for_each_batch_that_the_devices_divide(monkeypatch, devices, batch_sizes):
    monkeypatch.setattr(inference_time, "_LEAST_S", 0.0)
    model = nn.Dense(1)

    class Model(nn.Module):
        @nn.compact
        def __call__(self, image, *, train):
            assert not train
            return model.copy(name="head")(image.astype(jnp.float32))

    image = np.zeros((3, 8, 8, 3), np.uint8)
    variables = Model().init(jax.random.key(0), image, train=False)
    entries = inference_time.time_inference(Model(), variables, image, make_mesh(devices))
    assert [entry["batch_size"] for entry in entries] == batch_sizes
    for entry in entries:
        assert entry["repeats"] >= 5
        assert 0 < entry["p10_ms"] <= entry["ms_per_image"] <= entry["p90_ms"]
