import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nucseg_jax.data.batch import Batch
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.evaluation.scores import ratios
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.initial import abstract_variables
from nucseg_jax.ops.augment.augmentation import NO_AUGMENTATION
from nucseg_jax.ops.counts import count_pixels
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_batch
from nucseg_jax.training.optimizer import paper_optimizer, plateau_schedule
from nucseg_jax.training.state import init_state
from nucseg_jax.training.step import StaticArguments, train_step

# No other axis of these nets and images has this length, so that it marks what comes after the decoder.
CLASSES = 6
PX = 64


def equations(jaxpr):
    """All of a jaxpr and of the jaxprs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(
            equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize("decoder", ["unet", "deeplabv3plus"])
@pytest.mark.parametrize("encoder", ["resnet50", "efficientnet_b4"])
def test_every_product_of_the_step_is_of_bfloat16_but_those_of_the_logits(encoder, decoder):
    model = build_segmenter(
        encoder=encoder,
        decoder=decoder,
        num_classes=CLASSES,
        dropout=0.5,
        width=0.125,
        encoder_depths=(1, 1, 1) if encoder == "resnet50" else (2, 1, 1, 1, 1),
        dtype=jnp.dtype("bfloat16"),
    )
    optimizer = paper_optimizer(lr=1e-3, l2=0.01)
    plateau = plateau_schedule(factor=0.1, patience_epochs=2, min_delta=1e-4, min_scale=1e-3)
    static = StaticArguments(
        model=model,
        objective=Objective({"dice_loss": Term(1.0, soft_dice)}),
        optimizer=optimizer,
        l2=0.01,
        l2_scope="added",
        frozen_stages=(),
        augmentation=NO_AUGMENTATION,
        seed=0,
        steps_per_epoch=4,
    )

    def step(variables, batch):
        terms = {"term_names": static.term_names, "counted_classes": CLASSES}
        return train_step(static, init_state(variables, optimizer, plateau, **terms), batch)

    def abstract(*shape, dtype):
        return jax.ShapeDtypeStruct((4, *shape), dtype)

    batch = Batch(
        image=abstract(PX, PX, 3, dtype=jnp.uint8),
        label=abstract(PX, PX, dtype=jnp.uint8),
        valid=abstract(dtype=bool),
        index=abstract(dtype=jnp.int32),
        group=abstract(dtype=jnp.int32),
    )
    traced = jax.make_jaxpr(step)(abstract_variables(model, px=PX), batch)
    products = 0
    for equation in equations(traced.jaxpr):
        if equation.primitive.name not in ("dot_general", "conv_general_dilated"):
            continue
        operands = [variable.aval for variable in equation.invars]
        dtypes = {operand.dtype for operand in operands}
        sizes = {size for operand in (*operands, equation.outvars[0].aval) for size in operand.shape}
        if CLASSES in sizes:
            assert dtypes == {jnp.dtype("float32")}, equation
        else:
            assert dtypes == {jnp.dtype("bfloat16")}, equation
            products += 1
    assert products > 60


def painted(fold, count):
    """Painted patches as tiles: image uint8 [count * 16, 64, 64, 3] and label."""
    patches = [paint_patch(3, fold, index) for index in range(5, 5 + count)]
    image = np.stack([patch.image for patch in patches])
    label = np.stack([(patch.masks[..., :5] > 0).any(-1) for patch in patches]).astype(np.uint8)

    def tiles(pixels):
        rest = pixels.shape[3:]
        cut = pixels.reshape(count, 4, PX, 4, PX, *rest).swapaxes(2, 3)
        return cut.reshape(count * 16, PX, PX, *rest)

    return tiles(image), tiles(label)


@pytest.mark.device
@pytest.mark.long
def test_from_one_checkpoint_both_dtypes_score_within_a_fifth_of_a_percent(small):
    parts = small(lr=3e-3, l2=1e-4)
    step, state = parts.step(1), parts.state()
    image, label = painted(1, 8)
    rng = np.random.default_rng(0)
    for _ in range(120):
        rows = rng.permutation(len(image))[:8]
        batch = Batch(
            image=image[rows],
            label=label[rows],
            valid=np.ones(8, bool),
            index=rows.astype(np.int32),
            group=np.zeros(8, np.int32),
        )
        state, _ = step(state, put_batch(batch, make_mesh(1)))
    image, label = painted(2, 4)
    dice, logits = {}, {}
    for dtype in (jnp.float32, jnp.bfloat16):
        model = small(lr=3e-3, l2=1e-4, dtype=dtype).static.model
        variables = jax.device_get(state.variables)
        logits[dtype] = jax.jit(lambda variables, image, m=model: m.apply(variables, image, train=False))(
            variables, image
        )
        counts = np.asarray(count_pixels(logits[dtype], label)).astype(np.int64).sum(axis=0)[0]
        dice[dtype] = float(ratios(counts)["dice"])
    assert logits[jnp.bfloat16].dtype == jnp.float32
    # It has learned something that rounding could spoil, and rounding there is.
    assert dice[jnp.float32] > 0.5
    assert not np.array_equal(*logits.values())
    assert dice[jnp.float32] == pytest.approx(dice[jnp.bfloat16], abs=0.002)
