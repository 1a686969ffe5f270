import jax
import numpy as np
import pytest

from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.build import build_encoder, build_segmenter
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.models.initializers import Normal, VarianceScaling

DISTRIBUTIONS = ("uniform", "normal", "truncated_normal")


def narrow(encoder, decoder):
    depths = (1,) * len(build_encoder(encoder, extent="cut").depths)
    return build_segmenter(
        encoder=encoder, decoder=decoder, num_classes=1, dropout=0.0, width=0.25, encoder_depths=depths
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("axes", [(-2, -1), (-1, -2)])
def test_numpys_kernels_are_distributed_as_linens(distribution, mode, axes):
    initializer = VarianceScaling(2.0, mode, distribution, *axes)
    shape = (3, 3, 64, 128)
    ours = initializer.draw(np.random.default_rng(0), shape)
    theirs = np.asarray(initializer(jax.random.key(0), shape))
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == np.float32
    assert np.std(theirs) == pytest.approx(np.sqrt(initializer.variance(shape)), rel=0.02)
    # Ten quantiles, in units of the deviation; 73,728 values leave an error of about .01.
    unit = np.std(theirs)
    levels = np.linspace(0, 1, 11)[1:-1]
    np.testing.assert_allclose(
        np.quantile(ours, levels) / unit, np.quantile(theirs, levels) / unit, atol=0.03
    )
    if distribution != "normal":
        np.testing.assert_allclose(np.max(np.abs(ours)), np.max(np.abs(theirs)), rtol=0.01)


def test_a_normal_distribution_has_its_deviation_whatever_the_shape():
    for shape in ((1, 1, 64, 256), (7, 7, 1, 512)):
        ours = Normal(0.02).draw(np.random.default_rng(0), shape)
        theirs = np.asarray(Normal(0.02)(jax.random.key(0), shape))
        assert ours.dtype == theirs.dtype == np.float32
        for values in (ours, theirs):
            assert np.std(values) == pytest.approx(0.02, rel=0.02)
            assert abs(np.mean(values)) < 0.001


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("resnet50", "unet"),
        pytest.param("convnext_tiny", "deeplabv3plus", marks=pytest.mark.long),
        pytest.param("efficientnet_b4", "deeplabv3plus", marks=pytest.mark.long),
        pytest.param("resnet50_v1_5", "unet", marks=pytest.mark.long),
    ],
)
def test_variables_are_those_of_linens_init_up_to_the_random_numbers(encoder, decoder):
    model = narrow(encoder, decoder)
    ours = initial_variables(model, 0, px=32)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    assert jax.tree.structure(ours) == jax.tree.structure(shapes)
    theirs = jax.device_get(jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(image))
    for (path, mine), other in zip(
        jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
    ):
        name = leaf_name(path)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype), name
        if not name.endswith("kernel"):
            np.testing.assert_array_equal(mine, other, err_msg=name)
        elif mine.size > 1000:
            assert np.std(mine) == pytest.approx(np.std(other), rel=0.15), name
            assert abs(np.mean(mine)) < 0.1 * np.std(mine), name


def test_a_kernel_depends_on_seed_and_name_alone():
    one = initial_variables(narrow("resnet50", "unet"), 0, px=32)["params"]
    other = initial_variables(narrow("resnet50", "deeplabv3plus"), 0, px=64)["params"]
    jax.tree.map(np.testing.assert_array_equal, one["encoder"], other["encoder"])
    again = initial_variables(narrow("resnet50", "unet"), 1, px=32)["params"]
    kernels = [params["encoder"]["conv1_conv"]["kernel"] for params in (one, again)]
    assert not np.array_equal(*kernels)
    blocks = [one["encoder"][f"conv2_block1_{number}_conv"]["kernel"].ravel()[:64] for number in (1, 3)]
    assert not np.array_equal(*blocks)
