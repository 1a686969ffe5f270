"""Nuclei of a split, found and counted batch by batch, are those of each patch alone."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nucseg_jax.data.dataset_info import VOID_LABEL, DatasetInfo, NucleusClass
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.evaluation.instances.image_counts import count_image
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer
from nucseg_jax.evaluation.instances.tuned_rule import tune_rule
from nucseg_jax.evaluation.split_scores import count_batches, scoring_workers
from nucseg_jax.evaluation.step import compile_evaluation_step, placed_batches
from nucseg_jax.heads.decoding import worker_count
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule, find_nuclei
from nucseg_jax.heads.decoding.part_by_distance import DistanceParting
from nucseg_jax.heads.decoding.part_by_shape import ShapeParting
from nucseg_jax.heads.table import HEADS
from nucseg_jax.ops.losses import soft_dice
from nucseg_jax.ops.objective import Objective, Term
from nucseg_jax.ops.outputs import split_outputs
from nucseg_jax.runtime.mesh import make_mesh
from tests.heads.decoding.perfect_maps import PERFECT, touching_discs
from tests.toy_model import LogitsModel

PX, P = 64, 7
INFO = DatasetInfo("toy", (NucleusClass("a", (1, 2, 3)), NucleusClass("b", (4, 5, 6))), patch_px=PX)
OBJECTIVE = Objective({"dice_loss": Term(1.0, soft_dice)})


class Painted(nn.Module):
    """Sees perfect outputs: red is nucleus, green its class, blue the distance map."""

    num_classes: int

    def outputs(self, image, *, train):
        del train
        red, green, blue = jnp.moveaxis(image.astype(jnp.float32) / 255.0, -1, 0)
        parts = [20.0 * red - 10.0, blue]
        if self.num_classes > 1:
            parts += [-9.0 * red, 9.0 * (1.0 - green), 9.0 * green]
        return split_outputs(jnp.stack(parts, axis=-1), self.num_classes, 1)

    def __call__(self, image, *, train):
        return self.outputs(image, train=train).logits


@pytest.fixture(scope="module")
def patches() -> Patches:
    instance = np.stack([touching_discs(seed, size=PX, count=10) for seed in range(P)]).astype(np.uint16)
    instance[3] = 0
    label = np.where(instance > 0, 1 + instance % 2, 0).astype(np.uint8)
    maps = np.stack([PERFECT["distance"](each)[..., 0] for each in instance])
    image = np.stack([255 * (label > 0), 255 * (label == 2), np.rint(255 * maps)], axis=-1)
    numbers = np.arange(P, dtype=np.int32)
    return Patches(image.astype(np.uint8), label, numbers % 3, numbers * 0 + 1, numbers, instance=instance)


def counted(patches, *, num_classes=3, rule=None, batch_size=3, devices=1, has_void=False, workers=1):
    mesh, model = make_mesh(devices), Painted(num_classes)
    step = compile_evaluation_step(model, OBJECTIVE, mesh, head=HEADS["distance"], has_void=has_void)
    rule = rule or NucleusRule(parting=DistanceParting(), smallest_um2=0.0)
    scorer = NucleusScorer(rule, num_classes - 1, INFO.microns_per_px)
    batches = placed_batches(patches, np.arange(P), batch_size=batch_size, mesh=mesh)
    _, _, instances = count_batches(step, {}, batches, scorer, workers=workers)
    return instances


@pytest.mark.parametrize("num_classes", [1, 3])
def test_perfect_outputs_score_1_and_batches_devices_and_workers_change_nothing(patches, num_classes):
    expected = counted(patches, num_classes=num_classes)
    scores = expected.scores(INFO)["instances"]
    assert scores["patches"] == {
        "total": P,
        "annotated": P,
        "empty_truth": 1,
        "empty_prediction": 1,
        "both_empty": 1,
    }
    names = ["bpq", "aji", "detection_f1"] + (["mpq"] if num_classes > 1 else [])
    assert all(scores["image"][name] > 0.98 for name in names)
    for batch_size, devices, workers in ((7, 1, 2), (8, 8, 1)):
        found = counted(
            patches, num_classes=num_classes, batch_size=batch_size, devices=devices, workers=workers
        )
        jax.tree.map(np.testing.assert_array_equal, found.images._asdict(), expected.images._asdict())
        np.testing.assert_array_equal(found.index, expected.index)
        np.testing.assert_array_equal(found.group, expected.group)


def test_the_rule_decides_what_is_found(patches):
    """Without maps touching nuclei are parted less well; a threshold that nothing exceeds finds none."""
    by_maps = counted(patches).scores(INFO)["instances"]["image"]["bpq"]
    large = NucleusRule(parting=DistanceParting(), smallest_um2=1e6)
    assert counted(patches, rule=large).scores(INFO)["instances"]["nuclei"]["predicted"] == 0
    one_piece = NucleusRule(parting=DistanceParting(depth=1.0), smallest_um2=0.0)
    assert counted(patches, rule=one_piece).scores(INFO)["instances"]["image"]["bpq"] < by_maps


def test_what_nobody_annotated_counts_nowhere(patches):
    label, instance = patches.label.copy(), patches.instance.copy()
    label[:, : PX // 2], instance[:, : PX // 2] = VOID_LABEL, 0
    cut = dataclasses.replace(patches, label=label, instance=instance)
    found = counted(cut, has_void=True)
    assert found.images.fp.sum() == 0
    assert found.scores(INFO)["instances"]["image"]["bpq"] > 0.9


def test_a_run_without_a_head_parts_nuclei_by_their_shape(patches):
    class Binary(LogitsModel):
        def __call__(self, image, *, train):
            del train
            return 20.0 * (image[..., :1].astype(jnp.float32) / 255.0) - 10.0

    mesh = make_mesh(1)
    step = compile_evaluation_step(Binary(), OBJECTIVE, mesh)
    rule = NucleusRule(parting=ShapeParting(), smallest_um2=0.0)
    batches = placed_batches(patches, np.arange(P), batch_size=4, mesh=mesh)
    _, _, found = count_batches(step, {}, batches, NucleusScorer(rule, 0, 0.25))
    for position in range(P):
        level = np.where(patches.label[position] > 0, 255, 0).astype(np.uint8)
        nuclei = find_nuclei(level, None, rule, microns_per_px=0.25)
        alone = count_image(
            patches.instance[position],
            patches.label[position],
            nuclei,
            None,
            num_classes=0,
            microns_per_px=0.25,
        )
        assert found.images.tp[position].tolist() == alone.tp.tolist()


@pytest.mark.parametrize("has_nuclei", [True, False])
def test_a_rule_is_tuned_where_there_are_nuclei_and_is_the_default_elsewhere(patches, has_nuclei):
    """Neither fails: the end of a training would."""
    mesh = make_mesh(1)
    step = compile_evaluation_step(Painted(1), OBJECTIVE, mesh, head=HEADS["distance"])
    instance = patches.instance if has_nuclei else patches.instance * 0
    data = types.SimpleNamespace(
        patches=dataclasses.replace(patches, instance=instance), rows=lambda split: np.arange(P), info=INFO
    )
    default = NucleusRule(parting=DistanceParting(depth=1.0), smallest_um2=0.0)
    tuned = tune_rule(step, {}, data, default, batch_size=4, mesh=mesh)
    assert (tuned.rule != default) == has_nuclei
    assert bool(tuned.table) == has_nuclei
    if has_nuclei:
        scores = {point.rule: point.score for point in tuned.table}
        assert scores[tuned.rule] == max(scores.values()) > scores[default]


def test_a_large_split_is_scored_by_idle_cores_where_the_model_runs_elsewhere(monkeypatch):
    monkeypatch.setattr(worker_count, "usable_cores", lambda: 16)
    assert scoring_workers(2_700, 256, platform="gpu") == 8
    assert scoring_workers(2_700, 256, platform="cpu") == 1
    # 10 s of work on one core are 357 patches at 28 ms.
    assert (scoring_workers(350, 256, platform="gpu"), scoring_workers(365, 256, platform="gpu")) == (1, 2)
    assert scoring_workers(150, 512, platform="gpu") == scoring_workers(600, 256, platform="gpu")
