"""Any mesh computes what one device does, and a mesh that cannot be says which could."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batch import Batch
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.runtime.mesh import (
    LEAST_SHARDED_VALUES,
    batch_sharded,
    check_rows,
    make_mesh,
    replicated,
    state_sharded,
)
from nucseg_jax.runtime.placement import put_batch, put_state

PX, N = 128, 8
MESHES = {
    "data=2, fsdp=2, space=2": (2, 2, 2),
    "data=8": (8, 1, 1),
    "data=2, space=4": (2, 1, 4),
    "fsdp=4, data=2": (2, 4, 1),
}


class Model:
    """A paper model with narrow channels, and what training takes from it: loss, gradients, statistics, counts."""

    def __init__(self, decoder, dtype):
        self.model = build_segmenter(
            encoder="resnet50",
            decoder=decoder,
            num_classes=1,
            dropout=0.3,
            width=0.125,
            encoder_depths=(1, 1, 1),
            moving=MovingStatistics(0.9),
            dtype=dtype,
        )
        variables = initial_variables(self.model, 0, px=PX)
        self.variables = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), variables)

    def on(self, shape):
        """(loss, gradients, statistics after a step, logits in evaluation, counts) on a mesh."""
        mesh = make_mesh(*shape)
        everywhere = replicated(mesh)

        def loss_of(params, variables, batch):
            variables = jax.lax.with_sharding_constraint({**variables, "params": params}, everywhere)
            logits, updated = self.model.apply(
                variables,
                batch.image,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(5)},
            )
            return jnp.mean(soft_dice(logits, batch.label)), updated["batch_stats"]

        @functools.partial(jax.jit, in_shardings=(None, batch_sharded(mesh)), out_shardings=everywhere)
        def observed(variables, batch):
            (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                variables["params"], variables, batch
            )
            gathered = jax.lax.with_sharding_constraint(variables, everywhere)
            logits = self.model.apply(gathered, batch.image, train=False)
            return loss, gradients, statistics, logits, count_pixels(logits, batch.label)

        state = put_state(self.variables, mesh)
        return jax.device_get(observed(state, put_batch(images(), mesh)))


def images():
    rng = np.random.default_rng(3)
    blocks = rng.integers(0, 256, (N, PX // 8, PX // 8, 3), dtype=np.uint8)
    image = blocks.repeat(8, axis=1).repeat(8, axis=2)
    numbers = np.arange(N, dtype=np.int32)
    label = (image[..., 0] > 160).astype(np.uint8)
    return Batch(image=image, label=label, valid=np.ones(N, bool), index=numbers, group=numbers)


# A model of each decoder: transposed convolutions; dilated ones and global pooling.
DECODERS = [pytest.param("unet", marks=pytest.mark.long), "deeplabv3plus"]
# Each compiles a model. float64 leaves no room for more than another order of sums, so float32 is a long test.
FLOAT64_MESHES = [
    pytest.param(name, marks=() if shape == (2, 2, 2) else pytest.mark.long) for name, shape in MESHES.items()
]


@pytest.fixture(scope="module")
def alone():
    """What one device computes, by decoder and dtype; computed once."""

    @functools.cache
    def of(decoder, dtype):
        model = Model(decoder, dtype)
        return model, model.on((1, 1, 1))

    return of


@pytest.mark.parametrize("mesh", FLOAT64_MESHES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_float64_loss_gradients_and_statistics_are_those_of_one_device(alone, decoder, mesh):
    with jax.enable_x64(True):
        model, (loss, gradients, statistics, logits, counts) = alone(decoder, jnp.float64)
        found = model.on(MESHES[mesh])
    assert found[0] == pytest.approx(loss, rel=1e-9)
    for one, other in zip(jax.tree.leaves((gradients, statistics)), jax.tree.leaves(found[1:3]), strict=True):
        assert one.dtype == other.dtype == np.float64
        # A gradient that is 0 but for rounding, such as a bias's before a batch norm, has no digits to compare.
        np.testing.assert_allclose(other, one, rtol=0, atol=max(1e-9 * np.abs(one).max(), 1e-15))
    np.testing.assert_allclose(found[3], logits, rtol=0, atol=1e-9 * np.abs(logits).max())
    np.testing.assert_array_equal(found[4], counts)


@pytest.mark.long
@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_float32_loss_is_close_and_only_undecided_pixels_count_otherwise(alone, decoder, mesh):
    model, (loss, _, _, logits, counts) = alone(decoder, jnp.float32)
    found = model.on(MESHES[mesh])
    assert found[0] == pytest.approx(loss, rel=1e-3)
    undecided = (np.abs(logits) < 1e-4).sum((1, 2, 3))
    assert undecided.sum() < 1e-3 * logits.size
    differing = np.abs(found[4].astype(int) - counts).sum((1, 2))
    # One pixel that changes sides changes two of the four cells.
    np.testing.assert_array_less(differing, 2 * undecided + 1)


def test_large_arrays_are_split_over_fsdp_and_small_ones_are_everywhere():
    mesh = make_mesh(2, 4, 1)
    state = {
        "kernel": np.zeros((3, 3, 64, 128), np.float32),
        "square": np.zeros((64, 64), np.float32),
        "odd": np.zeros((3, 3, 1023, 5), np.float32),
        "bias": np.zeros(LEAST_SHARDED_VALUES - 4, np.float32),
    }
    placed = put_state(state, mesh)
    shapes = {name: array.sharding.shard_shape(array.shape) for name, array in placed.items()}
    assert shapes == {
        "kernel": (3, 3, 64, 32),
        "square": (64, 16),
        "odd": (3, 3, 1023, 5),
        "bias": (LEAST_SHARDED_VALUES - 4,),
    }
    assert set(jax.tree.leaves(state_sharded(state, make_mesh(8)))) == {replicated(make_mesh(8))}


def test_rows_of_images_are_split_over_space():
    placed = put_batch(images(), make_mesh(2, 1, 4))
    assert placed.image.sharding.shard_shape(placed.image.shape) == (N // 2, PX // 4, PX, 3)
    assert placed.valid.sharding.shard_shape(placed.valid.shape) == (N // 2,)


@pytest.mark.parametrize(
    ("asked", "batch_sizes", "expected"),
    [
        ((0, 1, 1), (), (8, 1, 1)),
        ((0, 2, 2), (8,), (2, 2, 2)),
        ((0, 1, 1), (6,), (6, 1, 1)),
        ((0, 1, 1), (8, 12), (4, 1, 1)),
        ((3, 1, 1), (6,), (3, 1, 1)),
        ((0, 1, 3), (8,), (2, 1, 3)),
    ],
)
def test_data_is_all_devices_that_the_batches_leave(asked, batch_sizes, expected):
    assert tuple(make_mesh(*asked, batch_sizes=batch_sizes).shape.values()) == expected


@pytest.mark.parametrize(
    ("asked", "batch_sizes", "message"),
    [
        ((9, 1, 1), (), "data=9 x fsdp=1 x space=1, JAX sees 8"),
        ((0, 3, 3), (), "data=all x fsdp=3 x space=3, JAX sees 8"),
        ((4, 2, 2), (), "8 x 1 x 1, 4 x 2 x 1, 4 x 1 x 2, 2 x 4 x 1"),
        ((8, 1, 1), (4,), "a batch of 4 cannot be split over data=8 x fsdp=1"),
        ((0, 4, 1), (6,), "a batch of 6 cannot be split"),
    ],
)
def test_a_mesh_that_cannot_be_is_an_error_that_says_which_could(asked, batch_sizes, message):
    with pytest.raises(UserError, match=message):
        make_mesh(*asked, batch_sizes=batch_sizes)


def test_rows_that_cannot_be_split_are_an_error():
    mesh = make_mesh(2, 1, 4)
    check_rows(128, 16, mesh)
    # A single kernel may reach over all of 4 rows.
    with pytest.raises(UserError, match=r"(?s)px has 4 rows at output stride 16.*8 rows or more, 128 px"):
        check_rows(64, 16, mesh)
    with pytest.raises(UserError, match=r"mesh.space is 4; an image of 32 px has 2 rows at output stride 16"):
        check_rows(32, 16, mesh)
