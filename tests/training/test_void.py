"""Pixels that nobody annotated count nowhere in training and in scores: what remains is as if they were cut away."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from configs import quickstart
from nucseg_jax.config import config_fields
from nucseg_jax.config.augment import AugmentConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.dataset_info import VOID_LABEL, DatasetInfo, NucleusClass
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.evaluation.baseline_scores import baseline_counts
from nucseg_jax.evaluation.example_predictor import ExamplePredictor
from nucseg_jax.evaluation.split_scores import score_split
from nucseg_jax.evaluation.step import compile_evaluation_step
from nucseg_jax.evaluation.training_scores import training_scores
from nucseg_jax.experiment import read_experiment
from nucseg_jax.ops.augment.augmentation import NO_AUGMENTATION, augment
from nucseg_jax.ops.objective import TILES_WITH_NUCLEI
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.training.optimizer import plateau_schedule
from nucseg_jax.training.state import init_state
from nucseg_jax.training.step import StaticArguments, train_step
from tests.toy_model import LogitsModel

PX = 16
# Every loss with a weight, each another.
ALL_LOSSES = {
    item.key: 1.0 / number
    for number, item in enumerate((item for item in config_fields().values() if item.loss_term), 1)
}


class Pointwise(LogitsModel):
    """Each pixel's logits depend on that pixel alone, so that cutting pixels away leaves the others' as they are."""

    classes: int

    @nn.compact
    def __call__(self, image, *, train):
        return nn.Dense(self.classes, name="head")(image.astype(jnp.float32) / 255.0)


def experiment_with(classes, **loss):
    config = quickstart.get_config()
    config.model.num_classes = classes
    config.loss.update({**ALL_LOSSES, **loss})
    return read_experiment(config)


def sample(classes, N=6):
    """Labels of both kinds in each half of each image; odd columns are what will be void."""
    rng = np.random.default_rng(classes)
    image = rng.integers(0, 256, (N, PX, PX, 3), dtype=np.uint8)
    label = rng.integers(0, max(classes, 3), (N, PX, PX)).astype(np.uint8)
    return image, label


def without_odd_columns(label):
    void = label.copy()
    void[:, :, 1::2] = VOID_LABEL
    return void


def trained_on(parts, classes, image, label, *, valid=None, has_void):
    """Logs and state after one step without augmentation."""
    N = len(label)
    static = dataclasses.replace(
        parts.static_arguments(4, has_void=has_void),
        model=Pointwise(classes),
        optimizer=optax.sgd(0.1),
        augmentation=NO_AUGMENTATION,
    )
    index = np.arange(N, dtype=np.int32)
    valid = np.ones(N, bool) if valid is None else valid
    batch = Batch(image=image, label=label, valid=valid, index=index, group=index)
    return (*reversed(jax.device_get(_step(static)(_state(static, classes), batch))), static)


def _state(static: StaticArguments, classes):
    variables = {
        "params": static.model.init(jax.random.key(3), np.zeros((1, 1, 1, 3)), train=False)["params"]
    }
    plateau = plateau_schedule(factor=0.1, patience_epochs=2, min_delta=1e-4, min_scale=1e-3)
    return init_state(
        {**variables, "batch_stats": {}},
        static.optimizer,
        plateau,
        term_names=static.summed_names,
        counted_classes=classes,
    )


def _step(static):
    class WithStatistics:
        """`train_step` asks for the batch statistics, which this model has none of."""

        def apply(self, variables, image, *, mutable=(), **options):
            del mutable, options
            params = {"params": variables["params"]}
            outputs = static.model.apply(params, image, train=True, method="outputs")
            return outputs, {"batch_stats": {}}

    bound = dataclasses.replace(static, model=WithStatistics())
    return jax.jit(lambda state, batch: train_step(bound, state, batch))


@pytest.mark.parametrize(("classes", "loss"), [(4, {}), (4, {"reduce": "batch"}), (1, {"skip_empty": True})])
def test_a_step_is_that_of_the_annotated_pixels_alone(classes, loss):
    parts = experiment_with(classes, **loss)
    image, label = sample(classes)
    label[:, :, ::2][2] = 0  # Its only nuclei lie in void.
    void = without_odd_columns(label)
    logs, state, _ = trained_on(parts, classes, image, void, has_void=True)
    alone, expected, _ = trained_on(parts, classes, image[:, :, ::2], label[:, :, ::2], has_void=False)
    assert logs.keys() == alone.keys()
    for name in logs:
        np.testing.assert_allclose(logs[name], alone[name], rtol=1e-4, err_msg=name)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6),
        state.params,
        expected.params,
    )
    np.testing.assert_array_equal(state.epoch_sums.counts, expected.epoch_sums.counts)
    if "reduce" not in loss:
        assert state.epoch_sums.terms[TILES_WITH_NUCLEI] == len(label) - 1
    # All of it counted, the numbers are others: the columns matter.
    whole, _, _ = trained_on(parts, classes, image, label, has_void=False)
    assert not np.allclose(logs["cross_entropy_loss"], whole["cross_entropy_loss"], rtol=1e-3)


def test_a_tile_without_an_annotated_pixel_is_as_padding():
    parts = experiment_with(1)
    image, label = sample(1)
    void = label.copy()
    void[1] = VOID_LABEL
    logs, state, _ = trained_on(parts, 1, image, void, has_void=True)
    padded, expected, _ = trained_on(parts, 1, image, label, valid=np.arange(6) != 1, has_void=False)
    for name in logs:
        np.testing.assert_allclose(logs[name], padded[name], rtol=1e-5, err_msg=name)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7),
        state.epoch_sums,
        expected.epoch_sums,
    )


@pytest.mark.parametrize("classes", [1, 4])
def test_a_batch_without_an_annotated_pixel_pulls_at_nothing_and_is_no_step_of_the_epochs_means(classes):
    parts = experiment_with(classes)
    image, label = sample(classes)
    nothing = np.full_like(label, VOID_LABEL)
    logs, state, static = trained_on(parts, classes, image, nothing, has_void=True)
    assert logs["gradient_norm"] == 0
    assert all(logs[name] == 0 for name in static.objective.terms)
    assert state.epoch_sums.steps == 0
    with pytest.raises(UserError, match="annotated"):
        training_scores(state.epoch_sums, static.objective)
    step = _step(static)
    index = np.arange(len(label), dtype=np.int32)
    batch = Batch(image=image, label=label, valid=index >= 0, index=index, group=index)
    start = _state(static, classes)
    one, _ = step(start, batch)
    two, _ = step(step(start, batch.replace(label=nothing))[0], batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one.epoch_sums.terms, two.epoch_sums.terms
    )
    assert one.epoch_sums.steps == two.epoch_sums.steps == 1


def test_the_programs_of_data_sets_without_void_never_look_for_it():
    parts = experiment_with(4)
    image, label = sample(4)
    index = np.arange(len(label), dtype=np.int32)
    batch = Batch(image=image, label=label, valid=index >= 0, index=index, group=index)
    found = {}
    for has_void in (False, True):
        static = dataclasses.replace(parts.static_arguments(4, has_void=has_void), model=Pointwise(4))
        step = compile_evaluation_step(static.model, static.objective, make_mesh(1), has_void=has_void)
        found[has_void] = (
            _step(static).lower(_state(static, 4), batch).as_text(),
            step.lower({"params": _state(static, 4).params}, batch).as_text(),
        )
    for without, with_void in zip(found[False], found[True], strict=True):
        assert "dense<255> : tensor<ui8>" not in without
        assert "dense<255> : tensor<ui8>" in with_void
        assert without.count("stablehlo.select") < with_void.count("stablehlo.select")


def scored(classes, image, label, *, has_void):
    """The scores of a split, and pictures of it."""
    N = len(label)
    index = np.arange(N, dtype=np.int32)
    patches = Patches(image, label, index % 2, index * 0 + 1, index)
    names = tuple(NucleusClass(f"class {number}", (0, 0, 0)) for number in range(1, classes))
    info = DatasetInfo("toy", names, ("a", "b"), patch_px=PX, has_void=has_void)
    nowhere = np.zeros(N, np.int32)
    places = PatchIndex(patches.fold, index, patches.group, ("",) * N, nowhere, nowhere, ("",) * N)
    dataset = StoredDataset(pathlib.Path(), info, places, "d" * 64, np.zeros((0, 4), np.int32))
    all_of_it = np.stack([patches.fold, index], axis=1)
    data = PreparedData(patches, Splits(all_of_it, all_of_it, all_of_it), dataset)
    objective, mesh, model = experiment_with(classes).evaluation_objective, make_mesh(2), Pointwise(classes)
    variables = model.init(jax.random.key(3), np.zeros((1, 1, 1, 3)), train=False)
    step = compile_evaluation_step(model, objective, mesh, has_void=has_void)
    how = {"objective": objective, "l2_penalty": 0.0, "batch_size": 4, "mesh": mesh}
    of_split = score_split(step, variables, data, "test", **how)
    drawn = ExamplePredictor(step, N, batch_size=4, mesh=mesh).spread(variables, data, "test")
    return of_split, drawn, baseline_counts(lambda image: image[..., 0] > 99, data, "test")


@pytest.mark.parametrize("classes", [1, 4])
def test_a_split_scores_as_its_annotated_pixels_alone(classes):
    """Counts, losses, levels, every convention, baselines; and an image without any is in none of them."""
    image, label = sample(classes, N=7)
    label[:, :, ::2][2] = 0
    void = without_odd_columns(label)
    # Where an image of void alone stands among the others.
    some = np.array([0, 1, 2, 3, 3, 4, 5, 6])
    with_nothing = void[some]
    with_nothing[4] = VOID_LABEL
    found, drawn, baseline = scored(classes, image[some], with_nothing, has_void=True)
    expected, expected_drawn, expected_baseline = scored(
        classes, image[:, :, ::2], label[:, :, ::2], has_void=False
    )
    kept = np.arange(8) != 4
    np.testing.assert_array_equal(found.counts.counts[kept], expected.counts.counts)
    assert not found.counts.counts[4].any()
    np.testing.assert_array_equal(found.levels, expected.levels)
    assert found.levels.sum() == 7 * PX * PX // 2
    np.testing.assert_array_equal(baseline.counts[kept], expected_baseline.counts)
    for name in ("micro", "image_zero", "image_skip", "image_one", "batch8"):
        assert found.result[name] == expected.result[name], name
    for name, value in expected.result.items():
        if name.endswith(("loss", "with_nuclei")):
            assert found.result[name] == pytest.approx(value, rel=1e-4), name
    # Pictures show no error, no nucleus and no Dice of a pixel that nobody annotated.
    assert not (drawn.truth | drawn.prediction)[with_nothing == VOID_LABEL].any()
    np.testing.assert_array_equal(drawn.void, with_nothing == VOID_LABEL)
    assert not expected_drawn.void.any()
    np.testing.assert_array_equal(drawn.truth[kept][:, :, ::2], expected_drawn.truth)
    assert drawn.dice(4) is None
    assert [drawn.dice(k) for k in np.flatnonzero(kept)] == [expected_drawn.dice(k) for k in range(7)]


def test_flips_and_turns_carry_void_along():
    """Each pixel's colour says whether it is void; wherever augmentation brings it, the label does too."""
    rng = np.random.default_rng(0)
    label = np.where(rng.random((8, PX, PX)) < 0.3, VOID_LABEL, rng.integers(0, 4, (8, PX, PX))).astype(
        np.uint8
    )
    image = np.repeat(label[..., None], 3, axis=-1)
    moved, of_moved = augment(
        image,
        label,
        np.arange(8),
        how=AugmentConfig(flips=True, quarter_turns=True),
        seed=0,
        epoch=jnp.int32(0),
    )
    np.testing.assert_array_equal(moved[..., 0], of_moved)
    assert not np.array_equal(of_moved, label)
    assert (np.asarray(of_moved) == VOID_LABEL).sum() == (label == VOID_LABEL).sum()
