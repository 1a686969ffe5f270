import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.split_scores import score_split
from nucseg_jax.evaluation.step import compile_evaluation_step
from nucseg_jax.ops.losses import cross_entropy, soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.runtime.mesh import make_mesh
from tests.toy_model import LogitsModel


class Undefined(LogitsModel):
    """Divides by the image's first value: NaN in one pixel of a patch where that is 0 over 0."""

    classes: int

    @nn.compact
    def __call__(self, image, *, train):
        first = image[:, :1, :1, :1].astype(jnp.float32)
        return nn.Dense(self.classes)(image.astype(jnp.float32)).at[:, :1, :1, :1].multiply(first / first)


@pytest.mark.parametrize("classes", [1, 6])
@pytest.mark.parametrize(
    "terms", [{"dice_loss": Term(1.0, soft_dice)}, {"ce_loss": Term(1.0, cross_entropy)}]
)
def test_patches_whose_outputs_are_no_numbers_are_told(classes, terms, capsys):
    image = np.random.default_rng(0).integers(1, 256, (5, 256, 256, 3)).astype(np.uint8)
    image[:, 0, 0, 0] = [1, 0, 1, 0, 1]
    numbers = np.arange(5, dtype=np.int32)
    patches = Patches(image, (image[..., 0] > 128).astype(np.uint8), numbers % 19, numbers * 0 + 1, numbers)
    model, mesh = Undefined(classes), make_mesh(1)
    variables = model.init(jax.random.key(0), image[:1], train=False)
    step = compile_evaluation_step(model, Objective(terms), mesh)
    how = {"objective": Objective(terms), "l2_penalty": 0.0, "batch_size": 2, "mesh": mesh}
    for rows, said in ((numbers, "2 of the 5 patches of test: "), (numbers[::2], "")):
        data = types.SimpleNamespace(patches=patches, info=PANNUKE, rows=lambda split, rows=rows: rows)
        result = score_split(step, variables, data, "test", **how).result
        printed = capsys.readouterr().out
        assert printed.startswith(said)
        assert bool(printed) == bool(said) == (result["loss"] is None)


@pytest.mark.parametrize("skips_empty", [False, True])
@pytest.mark.parametrize("empty", [0, 2, 5])
def test_the_loss_is_the_weighted_terms_over_what_is_minimised_and_the_penalty(empty, skips_empty):
    rng = np.random.default_rng(0)
    numbers = np.arange(5, dtype=np.int32)
    image = rng.integers(1, 256, (5, 256, 256, 3)).astype(np.uint8)
    label = (image[..., 0] > 128).astype(np.uint8) * (numbers >= empty).astype(np.uint8)[:, None, None]
    patches = Patches(image, label, numbers, numbers * 0 + 1, numbers)
    terms = {
        "dice_loss": Term(2.0, soft_dice, is_ratio=True, skips_empty=skips_empty),
        "ce_loss": Term(0.5, cross_entropy),
    }
    model, mesh = Undefined(1), make_mesh(1)
    variables = model.init(jax.random.key(0), image[:1], train=False)
    step = compile_evaluation_step(model, Objective(terms), mesh)
    data = types.SimpleNamespace(patches=patches, info=PANNUKE, rows=lambda split: numbers)
    how = {"objective": Objective(terms), "l2_penalty": 0.25, "batch_size": 2, "mesh": mesh}
    scored = score_split(step, variables, data, "test", **how)
    losses, result = scored.counts.losses, scored.result
    kept = losses["dice_loss"][empty:]
    minimised = (kept.mean() if len(kept) else 0.0) if skips_empty else losses["dice_loss"].mean()
    assert result["loss"] == pytest.approx(2.0 * minimised + 0.5 * losses["ce_loss"].mean() + 0.25, rel=1e-5)
    assert result["dice_loss"] == pytest.approx(losses["dice_loss"].mean(), rel=1e-5)
    assert result["dice_loss_with_nuclei"] == (pytest.approx(kept.mean(), rel=1e-5) if len(kept) else None)
    assert "ce_loss_with_nuclei" not in result
    assert result["l2_penalty"] == 0.25
