"""A run that starts from a trained run: real checkpoints of a narrow model, saved without training."""

import dataclasses
import json
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.best_model import best_variables
from nucseg_jax.cli.first_weights import first_weights
from nucseg_jax.cli.seen_patches import seen_by_run
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.prepared import plan_data
from nucseg_jax.data.splits import official_splits
from nucseg_jax.experiment import Experiment, read_experiment, read_experiment_file
from nucseg_jax.run_folder.check import READ_WHEN_RESUMED
from nucseg_jax.run_folder.claim import claim_run_folder
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord, digests_of
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.checkpoint import open_checkpoints, save_checkpoint
from nucseg_jax.training.state import with_modules

NAMES = ("tumour", "lymphocyte", "stroma", "debris", "other")
OVARY = DatasetInfo("ovary", classes=tuple(NucleusClass(name, (200, 0, 0)) for name in NAMES))
OTHER_NAMES = dataclasses.replace(OVARY, classes=OVARY.classes[::-1])
OUTPUTS, OTHER_OUTPUTS = (", ".join(("background", *names)) for names in (NAMES, NAMES[::-1]))


def experiment(data_dir, **fields) -> Experiment:
    """An experiment on a narrow model; fields by 'section__field'."""
    config = quickstart.get_config()
    config.data.dir = str(data_dir)
    config.model.width = 0.125
    for name, value in fields.items():
        section, field = name.split("__")
        config[section][field] = value
    return read_experiment(config)


def plan_of(parts, info=None):
    """The plan of painted patches, as if they were another data set's."""
    plan = plan_data(parts.data.prepared_folder, parts.splits)
    return plan._replace(dataset=dataclasses.replace(plan.dataset, info=info or plan.info))


def saved_run(path, parts, plan, *, info=None, steps=(4, 8)) -> pathlib.Path:
    """A run folder whose checkpoints hold weights that no seed gives; that of step 4 is the best."""
    with claim_run_folder(path, parts.config.as_json(), [], plan.splits, plan.dataset) as folder:
        if info is not None:
            info.write(path)
            write_json(folder.pretrained, {"seen": [], "digest": "of an encoder"})
        state = parts.init_state(parts.static_arguments(1))
        scores: dict[int, float] = {}
        with open_checkpoints(folder.checkpoints) as checkpoints:
            for number, step in enumerate(steps):
                moved = jax.tree.map(lambda value, by=number + 1: value + np.float32(by), state.params)
                now = put_state(state.replace(step=np.int32(step), params=moved), make_mesh(1))
                record = RunRecord(
                    *("", step, parts.config.as_json(), plan.splits.digest, plan.digest),
                    scores=dict(scores),
                    files=digests_of(path, READ_WHEN_RESUMED),
                )
                scores[step] = 0.9 - 0.1 * number
                save_checkpoint(checkpoints, now, record.as_json(), scores[step])
            checkpoints.wait_until_finished()
    return path


@pytest.fixture(scope="module")
def trained(painted, tmp_path_factory) -> pathlib.Path:
    """A run of one logit on PanNuke's layout, without dataset.json."""
    parts = experiment(painted)
    return saved_run(tmp_path_factory.mktemp("runs") / "trained", parts, plan_of(parts))


@pytest.fixture(scope="module")
def trained_on_classes(painted, tmp_path_factory) -> pathlib.Path:
    """A run with a logit for the background and each class of another data set."""
    parts = experiment(painted, model__num_classes=6)
    folder = tmp_path_factory.mktemp("runs") / "classes"
    return saved_run(folder, parts, plan_of(parts, OVARY), info=OVARY, steps=(4,))


def test_the_best_checkpoint_becomes_the_whole_model_and_the_optimizer_is_new(painted, trained, tmp_path):
    parts = experiment(painted, pretrained__run=str(trained), train__seed=5)
    weights = first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts))
    static = parts.static_arguments(1)
    state = with_modules(parts.init_state(static), weights.variables)
    other = experiment(painted).init_state(static)
    jax.tree.map(
        lambda new, old: np.testing.assert_array_equal(new, old + np.float32(1)), state.params, other.params
    )
    _, best = best_variables(read_experiment_file(trained / "config.json"), RunFolder(trained), make_mesh(1))
    jax.tree.map(np.testing.assert_array_equal, state.variables, jax.device_get(best))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))
    assert int(state.step) == 0
    count = sum(leaf.size for leaf in jax.tree.leaves(best))
    assert weights.summary == f"from {trained}, step 4, {count:,} values; classifier kept: nucleus"
    assert weights.facts["run"] == str(trained)
    assert weights.facts["step"] == 4
    assert weights.facts["data_set"] == "PanNuke"


@pytest.mark.parametrize(
    ("before", "now", "is_kept", "told"),
    [
        (OVARY, OVARY, True, f"classifier kept: {OUTPUTS}"),
        (OVARY, OTHER_NAMES, False, f"classifier new: {OTHER_OUTPUTS} instead of {OUTPUTS}"),
        (OVARY, None, False, f"classifier new: nucleus instead of {OUTPUTS}"),
        (None, OVARY, False, f"classifier new: {OUTPUTS} instead of nucleus"),
    ],
)
def test_the_classifier_is_kept_for_the_same_classes_only(
    painted, trained, trained_on_classes, tmp_path, before, now, is_kept, told
):
    """None: one logit for every nucleus, whatever classes a data set has."""
    path = trained if before is None else trained_on_classes
    parts = experiment(
        painted, pretrained__run=str(path), train__seed=5, model__num_classes=1 if now is None else 6
    )
    weights = first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts, now or OVARY))
    assert weights.summary.endswith(told)
    fresh = parts.init_state(parts.static_arguments(1))
    state = with_modules(fresh, weights.variables)
    is_fresh = np.array_equal(state.params["head"]["kernel"], fresh.params["head"]["kernel"])
    assert is_fresh != is_kept
    assert not np.array_equal(
        state.params["encoder"]["conv1_conv"]["kernel"], fresh.params["encoder"]["conv1_conv"]["kernel"]
    )


@pytest.mark.parametrize("name", ["dataset.json", "pretrained.json"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_run_whose_classes_or_past_are_not_as_recorded_is_no_start(
    painted, trained_on_classes, tmp_path, name, is_gone
):
    """With the names in another order every class would be taken for another one, and kept."""
    run = tmp_path / "run"
    shutil.copytree(trained_on_classes, run)
    parts = experiment(painted, model__num_classes=6, pretrained__run=str(run), data__allow_duplicates=True)
    plan = plan_of(parts, OTHER_NAMES)
    assert first_weights(parts, RunFolder(tmp_path / "new"), plan) is not None
    if is_gone:
        (run / name).unlink()
    elif name == "dataset.json":
        OTHER_NAMES.write(run)
    else:
        write_json(run / name, {"seen": []})
    with pytest.raises(UserError, match=rf"{name} (is missing|was altered)"):
        first_weights(parts, RunFolder(tmp_path / "new"), plan)


def test_another_scale_is_told(painted, trained, tmp_path):
    parts = experiment(painted, pretrained__run=str(trained))
    coarse = dataclasses.replace(OVARY, microns_per_px=0.5)
    weights = first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts, coarse))
    assert weights.summary.endswith("it was trained at 0.25 microns a px, these patches have 0.5")


@pytest.mark.parametrize(
    ("fields", "parts_of_message"),
    [
        ({"model__width": 0.25}, ["model.width 0.125, and here 0.25", "Of another shape", "instead of"]),
        (
            {"model__decoder": "unet"},
            ["model.decoder 'deeplabv3plus', and here 'unet'", "Missing (", "Not part of the model ("],
        ),
        ({"model__encoder_depths": (1, 2, 1)}, ["encoder_depths (1, 1, 1), and here (1, 2, 1)", "Missing ("]),
        ({"model__encoder": "resnet50_v1_5"}, ["model.encoder 'resnet50', and here 'resnet50_v1_5'"]),
    ],
)
def test_another_network_is_refused_with_both_sides(painted, trained, tmp_path, fields, parts_of_message):
    parts = experiment(painted, pretrained__run=str(trained), **fields)
    with pytest.raises(UserError) as caught:
        first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts))
    for part in (str(trained), *parts_of_message):
        assert part in str(caught.value)


def test_what_is_no_run_is_refused(painted, trained, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, message in ((empty, "has no config.json"), (tmp_path / "none", "is not there")):
        parts = experiment(painted, pretrained__run=str(path))
        with pytest.raises(UserError, match=message):
            first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts))
    with pytest.raises(UserError, match=r"pretrained\.path and pretrained\.run are both given"):
        experiment(painted, pretrained__run=str(trained), pretrained__path="weights")
    # By another name of the same folder, and also when it has checkpoints to resume from.
    link = tmp_path / "link"
    link.symlink_to(trained)
    parts = experiment(painted, pretrained__run=str(link))
    with pytest.raises(UserError, match="and so is --workdir"):
        first_weights(parts, RunFolder(trained), plan_of(parts))


def test_a_start_that_was_cut_off_begins_from_the_same_weights_or_not_at_all(painted, trained, tmp_path):
    parts = experiment(painted, pretrained__run=str(trained))
    plan = plan_of(parts)
    new = RunFolder(tmp_path / "new")
    new.path.mkdir()
    weights = first_weights(parts, new, plan)
    write_json(new.pretrained, weights.facts)
    assert first_weights(parts, new, plan).digest == weights.digest
    write_json(new.pretrained, {**weights.facts, "digest": "f" * 64})
    with pytest.raises(UserError, match="holds other weights"):
        first_weights(parts, new, plan)
    (new.checkpoints / "4").mkdir(parents=True)
    assert first_weights(parts, new, plan) is None


def test_paths_of_runs_are_as_a_user_writes_them(painted, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.parent)
    monkeypatch.setenv("HOME", str(trained.parent))
    for path in ("trained", "~/trained"):
        parts = experiment(painted, pretrained__run=path)
        weights = first_weights(parts, RunFolder(tmp_path / "new"), plan_of(parts))
        assert weights.facts["run"] == path


def test_a_run_that_has_seen_what_is_scored_is_no_start_unless_allowed(painted, trained, tmp_path):
    parts = experiment(painted, pretrained__run=str(trained))
    plan = plan_of(parts)
    turned = plan._replace(splits=official_splits({1: 5, 2: 5, 3: 5}, number=2))
    with pytest.raises(UserError, match=r"trained was trained on 5 of the 5 patches(?s:.*)validation side"):
        first_weights(parts, RunFolder(tmp_path / "new"), turned)
    allowed = experiment(painted, pretrained__run=str(trained), data__allow_duplicates=True)
    weights = first_weights(allowed, RunFolder(tmp_path / "new"), turned)
    # What it has seen goes on to whatever starts from the new run.
    assert weights.facts["seen"] == seen_by_run(RunFolder(trained))


def test_training_goes_on_from_a_run_and_needs_it_no_more_once_it_has(command_line, finished_run, tmp_path):
    """With everything frozen the encoder still holds the run's values bit for bit, with its statistics."""
    moved = tmp_path / "moved"
    moved.symlink_to(finished_run)
    workdir = tmp_path / "run"
    command = (
        "--config.train.epochs=1",
        f"--config.pretrained.run={moved}",
        "--config.transfer.freeze_through=all",
    )
    status, out, err = command_line.train(workdir, *command)
    assert status == 0, err
    # Lines are wrapped at 80 columns, with the rest below the first words.
    (line,) = re.findall(r"^weights .*(?:\n  .*)*", out, re.MULTILINE)
    line = " ".join(line.split())
    step, best = best_variables(
        read_experiment_file(finished_run / "config.json"), RunFolder(finished_run), make_mesh(1)
    )
    assert line.startswith(f"weights from {moved}, step {step}, ")
    assert line.endswith("classifier kept: nucleus")
    facts = json.loads((workdir / "pretrained.json").read_text())
    assert (facts["run"], facts["step"]) == (str(moved), step)
    _, variables = best_variables(
        read_experiment_file(workdir / "config.json"), RunFolder(workdir), make_mesh(1)
    )
    for name in ("params", "batch_stats"):
        jax.tree.map(np.testing.assert_array_equal, variables[name]["encoder"], best[name]["encoder"])
    assert not np.array_equal(variables["params"]["head"]["kernel"], best["params"]["head"]["kernel"])
    moved.unlink()
    status, out, err = command_line.train(workdir, *command)
    assert status == 0, err
    assert "is finished" in out
