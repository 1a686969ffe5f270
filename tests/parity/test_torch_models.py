"""The PyTorch models are the package's: parameters, logits, statistics, losses and gradients."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.core.tree import leaf_name
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.convnext import ConvNeXt
from nucseg_jax.models.cost import count_parameters
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.models.layers import MovingStatistics
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.torch_models import weights
from nucseg_jax.torch_models.segmenter import build_torch_segmenter
from nucseg_jax.training.optimizer import l2_mask, l2_penalty
from tests.parity.difference import relative_difference
from tests.parity.frozen import frozen_images, integers, uniform
from tests.parity.frozen_weights import UNSCALED_INPUT, frozen_leaf

pytestmark = pytest.mark.parity

MODELS = [
    (decoder, encoder) for decoder in ("unet", "deeplabv3plus") for encoder in ("resnet50", "efficientnet_b4")
]
# Table 1 of the paper.
TOTALS = dict(zip(MODELS, (15_676_865, 14_932_072, 30_462_849, 14_306_600), strict=True))
CONSTANTS = {"resnet50": 0, "efficientnet_b4": 7}
TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-8
N, PX = 3, 64
L2 = 0.01
NARROW = {"resnet50": (1, 2, 1), "efficientnet_b4": (2, 2, 1, 1, 2)}
# A bias before a batch norm has no gradient but rounding; it is held to this share of the largest gradient.
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed (extra torch)", exc_type=ImportError)


@pytest.fixture(scope="module")
def pytorch_step(torch):
    return importlib.import_module("benchmarks.versus.pytorch_step")


def our_model(decoder, encoder, **options):
    # PyTorch's moving variances, so that those can be compared too.
    moving = MovingStatistics(unbiased_variance=True)
    return build_segmenter(
        encoder=encoder, decoder=decoder, num_classes=1, dropout=0.0, moving=moving, **options
    )


def random_variables(model):
    """All collections, random batch-norm statistics included; activations stay of order one."""
    unscaled = model.encoder.preprocessing.divisor == 1.0

    def fill(path, leaf):
        collection, part, *layers, kind = leaf_name(path).split("/")
        if part == "encoder" and not isinstance(model.encoder, ConvNeXt):
            values = frozen_leaf(collection, layers[0], kind, leaf.shape)
            first = unscaled and (layers[0], kind) == ("conv1_conv", "kernel")
            return values / np.float32(UNSCALED_INPUT) if first else values
        name = leaf_name(path)
        if kind == "kernel":
            # A transposed convolution of stride 2 has a quarter of its taps at each pixel.
            inputs = leaf.shape[3] / 4 if "transpose" in name else leaf.shape[2]
            limit = math.sqrt(6.0 / (leaf.shape[0] * leaf.shape[1] * inputs))
            return uniform(name, leaf.shape, -limit, limit)
        ranges = {"scale": (0.5, 1.5), "var": (0.5, 1.5), "bias": (-0.3, 0.3), "mean": (-0.3, 0.3)}
        low, high = {**ranges, "gamma": (0.1, 0.5)}[kind]
        return uniform(name, leaf.shape, low, high)

    return jax.tree_util.tree_map_with_path(fill, abstract_variables(model, px=PX))


def flat(variables):
    return {
        leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }


def batch():
    label = (integers("label", (N, PX // 8, PX // 8), 0, 3) == 0).repeat(8, axis=1).repeat(8, axis=2)
    return frozen_images(N, PX, PX), label.astype(np.uint8)


def their_model(ours, variables):
    model = build_torch_segmenter(ours)
    weights.load_variables(model, flat(variables))
    return model


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_parameters_are_as_many(decoder, encoder, torch):
    model = our_model(decoder, encoder)
    ours, theirs = count_parameters(abstract_variables(model)), build_torch_segmenter(model)
    counts = weights.count_parameters(theirs)
    assert counts == {"trainable": ours.trainable, "moving": ours.moving, "constant": ours.constant}
    assert counts["constant"] == CONSTANTS[encoder]
    assert counts["trainable"] == sum(p.numel() for p in theirs.parameters())
    assert sum(counts.values()) == ours.total == TOTALS[decoder, encoder]


def test_variables_load_strictly(torch):
    """All that is wrong is listed, and nothing is loaded."""
    model = our_model("unet", "efficientnet_b4", width=0.125, encoder_depths=NARROW["efficientnet_b4"])
    variables = flat(random_variables(model))
    theirs = build_torch_segmenter(model)
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    del variables["params/encoder/stem_conv/kernel"]
    variables["params/head/scale"] = np.zeros(1, np.float32)
    variables["params/head/bias"] = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="not those of the PyTorch model") as caught:
        weights.load_variables(theirs, variables)
    assert "missing: params/encoder/stem_conv/kernel; " in str(caught.value)
    assert "unexpected: params/head/scale; " in str(caught.value)
    assert "of another shape: params/head/bias (2,), expected (1,)" in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in theirs.state_dict().items())


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_logits_are_equal(decoder, encoder, torch, record):
    """Full width, float32: inference by moving statistics; training by the batch's, which the moving ones follow."""
    ours, (image, _) = our_model(decoder, encoder), batch()
    variables = random_variables(ours)
    theirs = their_model(ours, variables)
    channels_last = torch.from_numpy(image).permute(0, 3, 1, 2)

    @jax.jit
    def forward(variables, image):
        trained = ours.apply(variables, image, train=True, mutable=["batch_stats"])
        return ours.apply(variables, image, train=False), trained

    logits, (train_logits, updated) = jax.device_get(forward(variables, image))
    with torch.no_grad():
        their_logits = theirs.eval()(channels_last).permute(0, 2, 3, 1).numpy()
        their_train_logits = theirs.train()(channels_last).permute(0, 2, 3, 1).numpy()
    assert np.std(logits) > 0.01 * np.abs(logits).max()
    inference = relative_difference(logits, their_logits)
    training = relative_difference(train_logits, their_train_logits)
    assert inference < TOLERANCE
    assert training < TOLERANCE

    before, state = flat(variables), theirs.state_dict()
    after = flat(updated)
    names = dict(weights.names(theirs))
    compared = {ours: theirs for theirs, ours in names.items() if ours.startswith("batch_stats/")}
    assert set(compared) == set(after)
    statistics = max(
        relative_difference(
            after[name] - before[name], weights.as_numpy(state[compared[name]]) - before[name]
        )
        for name in after
    )
    assert statistics < TOLERANCE
    version = f"torch {torch.__version__.split('+')[0]}, benchmark"
    shape = f"{N} x {PX}x{PX}"
    record(f"{decoder} {encoder}", version, "logits, inference", shape, f"{inference:.1e}")
    record(f"{decoder} {encoder}", version, "logits, training", shape, f"{training:.1e}")
    record(f"{decoder} {encoder}", version, "moving statistics", shape, f"{statistics:.1e}")


@pytest.mark.parametrize(("decoder", "encoder"), MODELS)
def test_a_steps_losses_and_gradients_are_equal(decoder, encoder, torch, pytorch_step, record):
    """Narrow, float64: soft Dice, L2 and the gradient that reaches the optimizers."""
    options = dict(width=0.125, encoder_depths=NARROW[encoder])
    with jax.enable_x64(False):
        model = our_model(decoder, encoder, **options)
        variables = random_variables(model)
    image, label = batch()
    theirs = their_model(model, variables).double().train()

    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
        mask = l2_mask(variables["params"], "added")

        @jax.jit
        def losses_and_gradient(variables, image, label):
            def objective(params):
                logits, _ = model.apply(
                    {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
                )
                dice, penalty = jnp.mean(soft_dice(logits, label)), l2_penalty(params, mask, L2)
                return dice + penalty, (dice, penalty)

            return jax.grad(objective, has_aux=True)(variables["params"])

        gradient, (dice, penalty) = jax.device_get(
            losses_and_gradient(variables, image.astype(np.float64), label)
        )

    optimizer = pytorch_step.make_optimizer(theirs, lr=1e-4, l2=L2)
    channels_last = torch.from_numpy(image).permute(0, 3, 1, 2)
    their_dice = pytorch_step.dice_loss(theirs(channels_last), torch.from_numpy(label))
    their_dice.backward()
    assert float(dice) == pytest.approx(float(their_dice.detach()), rel=1e-12)
    assert float(penalty) == pytest.approx(float(pytorch_step.l2_penalty(optimizer)), rel=1e-12)
    assert 0.1 < dice < 0.99

    # Adam adds weight_decay * w to the gradient before anything else.
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    ours = {f"params/{name}": leaf for name, leaf in flat(gradient).items()}
    largest = max(np.abs(leaf).max() for leaf in ours.values())
    differences, translation = {}, dict(weights.names(theirs))
    for theirs_name, parameter in theirs.named_parameters():
        name = translation[theirs_name]
        their_gradient = weights.as_numpy(parameter.grad + decay[id(parameter)] * parameter.detach())
        scale = max(np.abs(their_gradient).max(), ROUNDING * largest)
        differences[name] = np.abs(ours[name] - their_gradient).max() / scale
    assert set(differences) == set(ours)
    worst = max(differences.values())
    assert worst < GRADIENT_TOLERANCE, {n: d for n, d in differences.items() if d >= GRADIENT_TOLERANCE}
    version = f"torch {torch.__version__.split('+')[0]}, benchmark"
    record(f"{decoder} {encoder}, narrow", version, "gradients, float64", f"{N} x {PX}x{PX}", f"{worst:.1e}")
