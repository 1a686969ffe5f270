import json
import pathlib
import shutil

import numpy as np
import pytest

from configs import unet_efficientnet_b4
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import file_digest, sealed
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.examples import examples_path, read_examples
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.sections.runs import unchecked, warnings
from nucseg_jax.run_folder.check import finish
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import RunRecord


@pytest.fixture
def one_run(run_folders, tmp_path):
    return shutil.copytree(run_folders / "imagenet_1", tmp_path / "run")


def test_every_folder_is_a_run_or_is_told_why_not(run_folders, tmp_path):
    found = find_runs(str(run_folders / "*"), not_in=tmp_path)
    names = [run.path.name for run in found.runs]
    assert names == [
        *("classes_0", "classes_1", "imagenet_0", "imagenet_1", "scratch_0", "scratch_1", "unet"),
        "unfinished",
    ]
    reasons = {folder.rsplit("/", 1)[-1]: reason for folder, reason in found.left_out}
    assert reasons["notes"] == "no config.json: not the folder of a run"
    assert reasons["truncated"].startswith("config.json: ")
    assert found.copies == ()
    states = {run.path.name: run.state for run in found.runs}
    assert states["unfinished"] == "unfinished, epoch 2 of 5"
    assert states["unet"] == "finished"


def test_no_run_at_all_is_an_error_that_lists_what_was_there(run_folders, tmp_path):
    with pytest.raises(UserError, match="matches no run"):
        find_runs(str(tmp_path / "nothing*"), not_in=tmp_path)
    with pytest.raises(UserError, match=r"notes: no config\.json"):
        find_runs(str(run_folders / "notes"), not_in=tmp_path)


def test_what_lies_inside_a_run_is_no_folder_that_was_left_out(run_folders, tmp_path):
    shutil.copytree(run_folders / "imagenet_1", tmp_path / "deep" / "run")
    found = find_runs(f"{tmp_path}/**", not_in=tmp_path / "out")
    assert [run.path.name for run in found.runs] == ["run"]
    assert {pathlib.Path(folder) for folder, _ in found.left_out} == {tmp_path, tmp_path / "deep"}


def test_a_copy_of_a_run_is_not_a_second_seed(run_folders, tmp_path):
    shutil.copytree(run_folders / "imagenet_0", tmp_path / "a")
    shutil.copytree(run_folders / "imagenet_0", tmp_path / "b")
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    assert [run.path.name for run in found.runs] == ["a"]
    assert found.copies == ((str(tmp_path / "b"), str(tmp_path / "a"), ()),)
    assert warnings(found, []) == [f"{tmp_path / 'b'} is a copy of {tmp_path / 'a'}, which is counted once."]


def cut_in_half(file: pathlib.Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_a_run_that_a_later_version_repeated_is_a_copy_if_all_that_both_hold_is_equal(run_folders, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(run_folders / "imagenet_0", tmp_path / name)
        (tmp_path / name / "record.json").unlink(missing_ok=True)
    results = json.loads((tmp_path / "b" / "results.json").read_text())
    results["test"]["of_a_later_version"] = 1.0
    (tmp_path / "b" / "results.json").write_text(json.dumps(results))
    assert len(find_runs(f"{tmp_path}/*", not_in=tmp_path / "out").copies) == 1


@pytest.mark.parametrize("damaged", ["a", "b"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("results.json", cut_in_half),
        ("metrics.jsonl", cut_in_half),
        ("metrics.jsonl", lambda file: file.write_text("not json\n")),
        ("timing.json", cut_in_half),
        ("per_image_test.csv", cut_in_half),
        ("calibration_test.csv", cut_in_half),
    ],
)
def test_the_damage_of_a_copy_is_told_and_the_whole_one_counts(run_folders, tmp_path, damaged, name, damage):
    for folder in ("a", "b"):
        shutil.copytree(run_folders / "imagenet_0", tmp_path / folder)
    damage(tmp_path / damaged / name)
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    whole = tmp_path / ("b" if damaged == "a" else "a")
    assert [run.path for run in found.runs] == [whole]
    assert found.runs[0].state == "finished"
    assert found.runs[0].faults == ()
    ((folder, original, faults),) = found.copies
    assert (folder, original) == (str(tmp_path / damaged), str(whole))
    assert [fault.split(":")[0] for fault in faults] == [name]
    (warning,) = warnings(found, [])
    assert warning.endswith(f"which is counted once; the copy is damaged: {faults[0]}.")


def test_of_several_damaged_copies_the_whole_one_is_the_original(run_folders, tmp_path):
    for folder in "abc":
        shutil.copytree(run_folders / "imagenet_0", tmp_path / folder)
    cut_in_half(tmp_path / "a" / "results.json")
    (tmp_path / "b" / "metrics.jsonl").write_text("not json\n")
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    assert [run.path.name for run in found.runs] == ["c"]
    assert [copy.folder for copy in found.copies] == [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_run_that_trained_otherwise_is_no_copy(run_folders, tmp_path, is_damaged):
    for folder in ("a", "b"):
        shutil.copytree(run_folders / "imagenet_0", tmp_path / folder)
    metrics = tmp_path / "b" / "metrics.jsonl"
    *lines, last = metrics.read_text().splitlines()
    other = json.dumps({**json.loads(last), "learning_rate": 0.5})
    metrics.write_text("\n".join([*lines, other]) + "\n")
    if is_damaged:
        cut_in_half(tmp_path / "b" / "results.json")
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    assert found.copies == ()
    states = {run.path.name: run.state for run in found.runs}
    assert states == {"a": "finished", "b": "without usable results" if is_damaged else "finished"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", "{"),
        ("results.json", '{"train": {}, "validation": {}, "test": {}}'),
        ("results.json", '{"train": {"micro": {"dice": NaN}}, "validation": {}, "test": {}}'),
        ("results.json", "[1, 2]"),
        (
            "results.json",
            '{"train": {"micro": {}}, "validation": {"micro": {}}, "test": {"micro": {}, "classes": []}}',
        ),
        # Scores that are none; the file is whole but for them.
        *(
            (
                "results.json",
                json.dumps({key: {"micro": {"dice": score}} for key in ("train", "validation", "test")}),
            )
            for score in (1.5, -0.25, True, "0.5")
        ),
        ("metrics.jsonl", "not json\n"),
        ("metrics.jsonl", '{"step": 1, "kind": "epoch", "epoch": 1, "train": 3}\n'),
        ("timing.json", '{"starts": 3}'),
        ("timing.json", '{"starts": [], "inference": [{}]}'),
        ("environment.json", "[]"),
        ("environment.json", '{"command": "launch.py train \'"}'),
        ("environment.json", '{"git": {"commit": 5}}'),
        ("metrics.jsonl", '{"step": 1e999, "kind": "epoch"}\n'),
        ("results.json", "[" * 100_000),
        ("timing.json", '{"starts": [{"training": -1}]}'),
        ("per_image_test.csv", "index,fold\n1,2\n"),
        ("calibration_test.csv", "level,background_pixels,nucleus_pixels\n0,1,2\n"),
        ("calibration_test.csv", "nothing"),
        ("evaluations/test-dddddddd-00000000/results.json", '{"test": 3, "about": {}}'),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_goes_on(one_run, name, content):
    (one_run / name).write_text(content)
    run = read_run(one_run)
    assert [fault.split(":")[0] for fault in run.faults] == [name]
    assert (run.results is None) == (name == "results.json")


def test_counts_that_contradict_the_scores_are_told(one_run):
    lines = (one_run / "per_image_test.csv").read_text().splitlines()
    cells = lines[2].split(",")
    cells[4] = str(int(cells[4]) + 1)
    lines[2] = ",".join(cells)
    (one_run / "per_image_test.csv").write_text("\n".join(lines) + "\n")
    assert read_run(one_run).faults == (
        "per_image_test.csv: its counts do not give the scores in results.json",
    )
    (one_run / "per_image_test.csv").write_text("\n".join(lines[:-1]) + "\n")
    (fault,) = read_run(one_run).faults
    assert "are not the 24 of split.json" in fault


@pytest.mark.parametrize(
    "place",
    [
        ("batch8", "dice"),
        ("batch8", "dice_std"),
        ("tissue", "iou"),
        ("image_skip", "accuracy"),
        ("dice_loss",),
    ],
)
def test_scores_of_every_convention_and_losses_are_held_to_the_counts(one_run, place):
    results = json.loads((one_run / "results.json").read_text())
    *names, last = ("test", *place)
    inner = results
    for name in names:
        inner = inner[name]
    inner[last] += 1e-6
    (one_run / "results.json").write_text(json.dumps(results))
    assert read_run(one_run).faults == (
        "per_image_test.csv: its counts do not give the scores in results.json",
    )


def test_a_patch_of_another_tissue_contradicts_the_scores(one_run):
    path = one_run / "per_image_test.csv"
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[3] = "Bladder"
    path.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")
    assert "per_image_test.csv: its counts do not give the scores in results.json" in read_run(one_run).faults


def test_runs_that_kept_no_digests_are_named_once(run_folders, tmp_path):
    found = find_runs(str(run_folders / "*"), not_in=tmp_path)
    (line,) = unchecked(found)
    assert line.startswith("8 runs written by an earlier version")
    assert all(str(run.path) in line for run in found.runs)


def test_counts_of_classes_are_held_to_results_and_config_too(run_folders, tmp_path):
    folder = shutil.copytree(run_folders / "classes_0", tmp_path / "run")
    header, *lines = (folder / "per_image_test.csv").read_text().splitlines()
    number = header.split(",").index("epithelial_fp")
    cells = lines[2].split(",")
    cells[number] = str(int(cells[number]) + 1)
    altered = "\n".join([header, *lines[:2], ",".join(cells), *lines[3:]]) + "\n"
    (folder / "per_image_test.csv").write_text(altered)
    run = read_run(folder)
    assert run.faults == ("per_image_test.csv: its counts do not give the scores in results.json",)
    assert run.counts.keys() == {"train", "validation", "test"}
    changed(folder, model__num_classes=1)
    run = read_run(folder)
    assert "per_image_test.csv: its 6 counted classes are not the 1 of config.json" in run.faults
    assert not run.counts


@pytest.mark.parametrize("altered", ["nothing", "score", "table"])
def test_an_evaluation_that_was_altered_is_named(one_run, altered):
    (file,) = one_run.glob("evaluations/*/results.json")
    table = shutil.copy(one_run / "per_image_test.csv", file.with_name("per_image.csv"))
    outcome = {**json.loads(file.read_text()), "files": {"per_image.csv": file_digest(table)}}
    content = json.dumps(sealed(outcome))
    if altered == "score":
        dice = json.dumps(outcome["test"]["batch8"]["dice"])
        content = content.replace(dice, "0.999", 1)
    elif altered == "table":
        table.write_text(table.read_text().replace("Breast", "Uterus", 1))
    file.write_text(content)
    run = read_run(one_run)
    is_whole = altered == "nothing"
    assert len(run.evaluations) == is_whole
    assert [fault.split(":")[0] for fault in run.faults] == (
        [] if is_whole else [str(file.relative_to(one_run))]
    )


@pytest.mark.parametrize(("score", "is_own"), [(0.5, True), (0.75, False), (None, True)])
def test_an_evaluation_of_another_run_is_named(one_run, score, is_own):
    """Of a run on the same data set and split; those of earlier versions do not hold the score."""
    (file,) = one_run.glob("evaluations/*/results.json")
    outcome = json.loads(file.read_text())
    outcome["about"]["checkpoint_score"] = score
    write_json(file, sealed(outcome))
    results, split = (json.loads((one_run / name).read_text()) for name in ("results.json", "split.json"))
    record = RunRecord(
        source="",
        step=50,
        config=json.loads((one_run / "config.json").read_text()),
        split_digest=split["digest"],
        data_digest=split["data_digest"],
        scores={50: 0.5},
    )
    finish(RunFolder(one_run), record, results)
    run = read_run(one_run)
    assert len(run.evaluations) == is_own
    assert [fault.split(":")[0] for fault in run.faults] == (
        [] if is_own else [str(file.relative_to(one_run))]
    )


def test_an_altered_split_makes_the_run_unusable(one_run):
    record = json.loads((one_run / "split.json").read_text())
    record["lists"]["test"].pop()
    (one_run / "split.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="altered"):
        read_run(one_run)


def test_runs_that_differ_by_seed_and_free_fields_are_one_configuration(run_folders, tmp_path):
    found = find_runs(str(run_folders / "*"), not_in=tmp_path)
    (cohort,) = make_cohorts(found.runs)
    by_name = {each.name: [run.path.name for run in each.runs] for each in cohort.configurations}
    assert by_name == {
        "U-Net ResNet-50, scratch": ["unet"],
        "U-Net ResNet-50, ImageNet": ["unfinished"],
        "DeepLabV3+ ResNet-50, ImageNet": ["imagenet_0", "imagenet_1"],
        "DeepLabV3+ ResNet-50, scratch": ["scratch_0", "scratch_1"],
        "DeepLabV3+ ResNet-50, 6 classes, scratch": ["classes_0", "classes_1"],
    }
    assert cohort.configurations[0].paper.name == "U-Net ResNet-50"
    assert cohort.configurations[-1].paper is None
    # Not so where a field that counts differs.
    changed(shutil.copytree(run_folders / "scratch_1", tmp_path / "other"), train__adam_b1=0.8)
    (cohort,) = make_cohorts((*found.runs, *find_runs(str(tmp_path / "other"), not_in=run_folders).runs))
    assert len(cohort.configurations) == 6


def changed(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        section, field = name.split("__")
        config[section][field] = value
    (folder / "config.json").write_text(json.dumps(config))


def names_of(tmp_path):
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    return [each.name for cohort in make_cohorts(found.runs) for each in cohort.configurations]


def test_devices_and_fields_that_came_later_part_no_runs(run_folders, tmp_path):
    for name in ("now", "on_eight", "before"):
        shutil.copytree(run_folders / "scratch_0", tmp_path / name)
    changed(tmp_path / "on_eight", mesh__data=8, train__seed=1)
    changed(tmp_path / "before", train__seed=2)
    config = json.loads((tmp_path / "before" / "config.json").read_text())
    del config["mesh"]["space"], config["loss"]["skip_empty"]
    (tmp_path / "before" / "config.json").write_text(json.dumps(config))
    runs = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out").runs
    (cohort,) = make_cohorts(runs)
    assert [len(each.runs) for each in cohort.configurations] == [3]
    changed(tmp_path / "before", loss__skip_empty=True)
    (cohort,) = make_cohorts(find_runs(str(tmp_path / "*"), not_in=tmp_path / "out").runs)
    assert [len(each.runs) for each in cohort.configurations] == [2, 1]


def test_names_tell_what_differs_and_narrow_nets_are_not_the_papers(run_folders, tmp_path):
    for number, l2 in enumerate((0.02, 0.0001)):
        changed(shutil.copytree(run_folders / "scratch_0", tmp_path / f"deeplab_{number}"), loss__l2=l2)
    shutil.copytree(run_folders / "unet", tmp_path / "unet")
    # L2 differs between the models too, but the U-Net has one value only.
    assert names_of(tmp_path) == [
        "U-Net ResNet-50",
        "DeepLabV3+ ResNet-50, L2 0.02",
        "DeepLabV3+ ResNet-50, L2 0.0001",
    ]
    changed(tmp_path / "unet", model__width=0.25, model__encoder_depths=[1, 1, 1])
    found = find_runs(str(tmp_path / "unet"), not_in=tmp_path / "out")
    ((configuration,),) = (cohort.configurations for cohort in make_cohorts(found.runs))
    assert configuration.name == "U-Net ResNet-50, width 0.25, depths 1-1-1"
    assert configuration.paper is None


def test_other_weights_under_one_name_are_another_configuration(run_folders, tmp_path):
    for number in (0, 1):
        folder = shutil.copytree(run_folders / "imagenet_0", tmp_path / str(number))
        changed(folder, pretrained__path=f"elsewhere_{number}", train__seed=number)
    assert len(names_of(tmp_path)) == 1
    report = json.loads((tmp_path / "1" / "pretrained.json").read_text())
    (tmp_path / "1" / "pretrained.json").write_text(json.dumps({**report, "digest": "f" * 64}))
    assert names_of(tmp_path) == [
        "DeepLabV3+ ResNet-50, ImageNet eeeeeeee",
        "DeepLabV3+ ResNet-50, ImageNet ffffffff",
    ]


def test_a_run_from_a_run_is_a_configuration_of_its_own(run_folders, tmp_path):
    """The same run under two paths is one; another checkpoint of it is another."""
    shutil.copytree(run_folders / "scratch_0", tmp_path / "scratch")
    for number, (path, digest) in enumerate(
        (("runs/first/", "a"), ("/elsewhere/first", "a"), ("runs/first", "b"))
    ):
        folder = shutil.copytree(run_folders / "scratch_0", tmp_path / f"tuned_{number}")
        changed(folder, pretrained__run=path, train__seed=number)
        (folder / "pretrained.json").write_text(json.dumps({"run": path, "step": 8, "digest": digest * 64}))
    assert names_of(tmp_path) == [
        "DeepLabV3+ ResNet-50, run first aaaaaaaa",
        "DeepLabV3+ ResNet-50, scratch",
        "DeepLabV3+ ResNet-50, run first bbbbbbbb",
    ]


def test_commands_keep_what_makes_runs_comparable(run_folders):
    run = read_run(run_folders / "imagenet_1")
    config = json.loads(unet_efficientnet_b4.get_config().to_json())
    *_, command = next_command.train_missing(PAPER_MODELS[1], [run], config)
    assert command == (
        "python launch.py train --config=configs/unet_efficientnet_b4.py --config.train.epochs=5"
        " --config.pretrained.path=weights/efficientnet_b4 --workdir=runs/unet_efficientnet_b4"
    )
    (again,) = next_command.train_again(run)
    assert again.endswith(f"--workdir={run.path}_again")
    assert again.count("--workdir") == 1
    (evaluate,) = next_command.evaluate(run, "--config.eval.compare_statistics=end")
    words = evaluate.split()
    assert words.count("--config.train.seed=1") == 1
    assert words.index("--config=configs/base.py") < words.index("--config.eval.compare_statistics=end")


def test_what_belongs_to_a_model_or_a_seed_is_no_flag_for_another(run_folders, tmp_path):
    folder = shutil.copytree(run_folders / "imagenet_1", tmp_path / "run")
    own = dict(
        model__encoder="efficientnet_b4", model__decoder="unet", model__output_stride=8, model__num_classes=6,
        model__dropout=0.9, model__drop_connect=0.9, model__width=0.25, model__encoder_depths=[1, 1],
        loss__l2=0.125, train__seed=77, pretrained__path="elsewhere", pretrained__run="runs/first",
    )  # fmt: skip
    changed(folder, **own)
    config = json.loads(unet_efficientnet_b4.get_config().to_json())
    *_, command = next_command.train_missing(PAPER_MODELS[1], [read_run(folder)], config)
    flags = [word for word in command.split() if word.startswith("--config.")]
    assert flags == ["--config.train.epochs=5", "--config.pretrained.path=weights/efficientnet_b4"]


def test_an_epoch_that_has_two_lines_is_a_fault(one_run):
    metrics = one_run / "metrics.jsonl"
    *lines, last = metrics.read_text().splitlines()
    metrics.write_text("\n".join([*lines, last, last]) + "\n")
    assert [fault for fault in read_run(one_run).faults if "an epoch has two lines" in fault]


def test_commands_of_a_sweeps_row_hold_what_the_row_changed(one_run):
    environment = json.loads((one_run / "environment.json").read_text())
    started_from = {
        "config": "configs/base.py",
        "overrides": {"loss.l2": 0.5, "model.encoder_depths": [1, 1]},
        "sweep": {"file": "sweep.py", "label": "row"},
    }
    (one_run / "environment.json").write_text(json.dumps({**environment, "started_from": started_from}))
    (again,) = next_command.train_again(read_run(one_run))
    assert again == (
        "python launch.py train --config=configs/base.py --config.loss.l2=0.5"
        f" '--config.model.encoder_depths=(1, 1)' --workdir={one_run}_again"
    )
    (one_run / "environment.json").unlink()
    run = read_run(one_run)
    assert next_command.train_again(run) == next_command.resume(run) == ()


def test_a_field_is_told_where_it_is_unusual(run_folders, tmp_path):
    for number, width in enumerate((1.0, 0.5, 0.25)):
        folder = shutil.copytree(run_folders / "scratch_0", tmp_path / f"net_{number}")
        changed(folder, model__width=width, train__tile_px=(256, 256, 128)[number])
    assert names_of(tmp_path) == [
        "DeepLabV3+ ResNet-50",
        "DeepLabV3+ ResNet-50, width 0.25, 128 px tiles",
        "DeepLabV3+ ResNet-50, width 0.5",
    ]


def test_of_two_values_that_half_of_them_have_neither_is_usual(run_folders, tmp_path):
    changed(shutil.copytree(run_folders / "scratch_0", tmp_path / "deeplab"), train__epochs=7)
    changed(shutil.copytree(run_folders / "unet", tmp_path / "unet"), train__epochs=9)
    assert names_of(tmp_path) == ["U-Net ResNet-50, 9 epochs", "DeepLabV3+ ResNet-50, 7 epochs"]


def test_examples_read_back_and_damaged_ones_are_named(one_run):
    path = examples_path(one_run, "test")
    examples = read_examples(path, PANNUKE)
    assert list(examples.of("best")) == [5, 6]
    number = examples.at_position(9)
    truth, prediction = examples.truth[number], examples.prediction[number]
    expected = 2 * np.sum(truth & prediction) / (truth.sum() + prediction.sum())
    assert examples.dice(number) == pytest.approx(expected)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot be read"):
        read_examples(path, PANNUKE)
