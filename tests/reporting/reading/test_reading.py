import json
import pathlib
import shutil

import numpy as np
import pytest

from configs import base, unet_efficientnet_b4
from nucseg_jax.core.errors import UserError
from nucseg_jax.reporting.examples import examples_path, read_examples
from nucseg_jax.reporting.reading import next_command
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.sections.head import warnings

FREE = ("data.dir", "train.feed")


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
        ("metrics.jsonl", "not json\n"),
        ("metrics.jsonl", '{"step": 1, "kind": "epoch", "epoch": 1, "train": 3}\n'),
        ("timing.json", '{"starts": 3}'),
        ("timing.json", '{"starts": [], "inference": [{}]}'),
        ("environment.json", "[]"),
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


def test_an_altered_split_makes_the_run_unusable(one_run):
    record = json.loads((one_run / "split.json").read_text())
    record["lists"]["test"].pop()
    (one_run / "split.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="altered"):
        read_run(one_run)


def test_runs_that_differ_by_seed_and_free_fields_are_one_configuration(run_folders, tmp_path):
    found = find_runs(str(run_folders / "*"), not_in=tmp_path)
    (cohort,) = make_cohorts(found.runs, free_fields=FREE)
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
    # train.feed counted, the two runs from scratch are two configurations.
    (cohort,) = make_cohorts(found.runs, free_fields=())
    assert len(cohort.configurations) == 6


def changed(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        section, field = name.split("__")
        config[section][field] = value
    (folder / "config.json").write_text(json.dumps(config))


def names_of(tmp_path):
    found = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out")
    return [
        each.name for cohort in make_cohorts(found.runs, free_fields=FREE) for each in cohort.configurations
    ]


def test_devices_and_fields_that_came_later_part_no_runs(run_folders, tmp_path):
    for name in ("now", "on_eight", "before"):
        shutil.copytree(run_folders / "scratch_0", tmp_path / name)
    changed(tmp_path / "on_eight", mesh__data=8, train__seed=1)
    changed(tmp_path / "before", train__seed=2)
    config = json.loads((tmp_path / "before" / "config.json").read_text())
    del config["mesh"]["space"], config["loss"]["smooth"]
    (tmp_path / "before" / "config.json").write_text(json.dumps(config))
    runs = find_runs(str(tmp_path / "*"), not_in=tmp_path / "out").runs
    free = ("train.feed", "mesh.")
    (cohort,) = make_cohorts(runs, free_fields=free)
    assert len(cohort.configurations) == 2
    (cohort,) = make_cohorts(
        runs, free_fields=free, later_fields={"loss.smooth": base.get_config().loss.smooth}
    )
    assert [len(each.runs) for each in cohort.configurations] == [3]


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
    ((configuration,),) = (cohort.configurations for cohort in make_cohorts(found.runs, free_fields=FREE))
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
    examples = read_examples(path)
    assert list(examples.of("best")) == [5, 6]
    number = examples.at_position(9)
    truth, prediction = examples.truth[number], examples.prediction[number]
    expected = 2 * np.sum(truth & prediction) / (truth.sum() + prediction.sum())
    assert examples.dice(number) == pytest.approx(expected)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot be read"):
        read_examples(path)
