"""A run folder against its record: every field of the config, both digests, every file."""

import dataclasses
import json
import os
import pathlib

import pytest

from configs import base
from nucseg_jax.config import may_change_on_resume
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.seal import sealed
from nucseg_jax.data.splits import official_splits
from nucseg_jax.run_folder.check import (
    READ_WHEN_RESUMED,
    final_record,
    finish,
    logged_scores,
    read_results,
    require_best,
    require_config,
    resumed_scores,
)
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import AlteredRunError, RunRecord, digests_of

CONFIG = json.loads(base.get_config().to_json())
FIELDS = [(section, name) for section, fields in CONFIG.items() for name in fields]
SPLITS = official_splits({1: 2, 2: 2, 3: 2}, number=1)
OTHER = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: value + 0.5}
RECORD = RunRecord(
    source="the checkpoint of step 8",
    step=8,
    config=CONFIG,
    split_digest=SPLITS.digest,
    data_digest="d" * 64,
    scores={4: 0.5, 8: 0.25},
)


def other(value):
    """A value of the same type."""
    return OTHER.get(type(value), lambda value: [*value, 1] if isinstance(value, list) else f"{value}x")(
        value
    )


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A finished run without checkpoints."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_json(folder.config, CONFIG)
    lists = {"digest": SPLITS.digest, "data_digest": "d" * 64, "lists": SPLITS.as_json()}
    write_json(folder.split, lists)
    folder.metrics.write_text('{"step": 8, "epoch": 1, "kind": "train", "loss": 0.5}\n')
    finish(folder, RECORD, {"test": {"micro": {"dice": 0.75}}})
    return folder


@pytest.mark.parametrize("change", ["other", "missing", "0 for False"])
def test_every_field_that_is_not_free_is_held_to_the_record(change):
    for section, name in FIELDS:
        config = json.loads(json.dumps(CONFIG))
        if change == "missing":
            del config[section][name]
        elif change == "other":
            config[section][name] = other(config[section][name])
        elif isinstance(config[section][name], bool):
            config[section][name] = int(config[section][name])
        is_free = may_change_on_resume(f"{section}.{name}")
        is_changed = json.dumps(config) != json.dumps(CONFIG)
        changes = RECORD.config_changes(config)
        assert len(changes) == (is_changed and not is_free)
        assert all(line.startswith(f"{section}.{name}: ") for line in changes)


def test_a_field_that_came_later_is_no_change():
    assert not RECORD.config_changes({**CONFIG, "model": {**CONFIG["model"], "new": 1}, "later": {}})


def test_a_whole_run_is_taken_and_its_record_read_back(run):
    require_config(run)
    assert run.read_splits()[0].digest == SPLITS.digest
    assert read_results(run) == {"test": {"micro": {"dice": 0.75}}}
    assert final_record(run).scores == RECORD.scores
    assert final_record(run).files.keys() == {"metrics.jsonl", "results.json"}


def test_an_edited_config_is_refused_with_what_to_do(run):
    write_json(run.config, {**CONFIG, "train": {**CONFIG["train"], "dtype": "bfloat16"}})
    with pytest.raises(AlteredRunError, match=r"(?s)dtype: 'float32' -> 'bfloat16'.*another --workdir"):
        require_config(run)


@pytest.mark.parametrize("name", ["data_digest", "digest"])
def test_an_edited_split_is_refused(run, name):
    stored = json.loads(run.split.read_text())
    write_json(run.split, {**stored, name: "e" + stored[name][1:]})
    with pytest.raises(UserError, match="was altered"):
        run.read_splits()


def test_the_lists_of_another_run_are_refused(run):
    """They match their own digest."""
    others = official_splits({1: 2, 2: 2, 3: 2}, number=2)
    lists = {"digest": others.digest, "data_digest": "d" * 64, "lists": others.as_json()}
    write_json(run.split, lists)
    with pytest.raises(AlteredRunError, match="names the split"):
        run.read_splits()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: run.results.write_text(run.results.read_text().replace("0.75", "0.76")), "was altered"),
        (lambda run: run.results.write_bytes(b""), "was altered"),
        (
            lambda run: run.record.write_text(run.record.read_text().replace('"8": 0.25', '"8": 0.5')),
            "is damaged",
        ),
        (lambda run: run.record.write_bytes(b"{"), "is damaged"),
    ],
)
def test_results_that_were_altered_are_not_shown(run, damage, message):
    damage(run)
    with pytest.raises(UserError, match=message):
        read_results(run)


def test_results_of_an_earlier_version_are_shown_if_they_are_any(run):
    run.record.unlink()
    assert read_results(run)["test"]["micro"]["dice"] == 0.75
    for content in (b"", b"[]", b'{"test": 3}', b"[" * 100_000):
        run.results.write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            read_results(run)


def test_a_run_whose_line_ends_git_changed_is_the_same(run):
    for path in run.path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    require_config(run)
    run.read_splits()
    assert read_results(run) == {"test": {"micro": {"dice": 0.75}}}
    final_record(run).require_file(run.metrics)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder_instead(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("put", [pipe, folder_instead])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("config.json", require_config),
        ("split.json", RunFolder.read_splits),
        ("record.json", final_record),
        ("results.json", read_results),
        (
            "metrics.jsonl",
            lambda run: resumed_scores(
                run,
                RunRecord.from_json(json.loads(run.record.read_text()), source="", step=8, is_sealed=True),
            ),
        ),
        ("metrics.jsonl", lambda run: logged_scores(run, up_to_step=8)),
        ("environment.json", lambda run: run.record_start({})),
        ("timing.json", lambda run: run.record_timing({}, None)),
    ],
)
def test_what_is_no_regular_file_is_one_error(run, name, read, put):
    """A pipe's reader would wait forever."""
    (run.path / name).touch()
    put(run.path / name)
    with pytest.raises(UserError, match=f"{name}.*it is not a regular file"):
        read(run)


def save_record(run, record):
    folder = run.checkpoints / str(record.step) / "record"
    folder.mkdir(parents=True)
    write_json(folder / "metadata", sealed({**record.as_json(), "crc32": []}))


NEWEST = dataclasses.replace(RECORD, step=12, scores={4: 0.5, 8: 0.25, 12: 0.4})


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"config": {**CONFIG, "train": {**CONFIG["train"], "seed": 1}}}, "seed"),
        ({"split_digest": "e" * 64}, "split"),
        ({"data_digest": "e" * 64}, "data set"),
        ({"scores": {4: 0.5, 8: 0.26}}, "step 8"),
        ({"step": 7, "scores": {7: 0.9}}, "step 7"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(run, other, difference):
    """With arrays of the same shapes and a higher score it would be the best, silently."""
    save_record(run, NEWEST)
    save_record(run, dataclasses.replace(RECORD, **other))
    with pytest.raises(AlteredRunError, match=f"(?s)is of another run.*{difference}"):
        require_config(run)


@pytest.mark.parametrize("field", ["config", "split_digest", "scores"])
def test_results_and_record_of_another_run_are_not_shown(run, field):
    """They agree with each other."""
    others = {"config": {"train": {"seed": 5}}, "split_digest": "e" * 64, "scores": {4: 0.75, 8: 0.25}}
    save_record(run, RECORD)
    assert read_results(run)
    finish(run, dataclasses.replace(RECORD, **{field: others[field]}), {"test": {"micro": {"dice": 0.9}}})
    with pytest.raises(AlteredRunError, match=r"record\.json is of another run"):
        read_results(run)


def test_checkpoints_of_one_run_are_taken_though_free_fields_changed(run):
    save_record(run, NEWEST)
    resumed = {**CONFIG, "train": {**CONFIG["train"], "log_every_steps": 7}}
    save_record(run, dataclasses.replace(RECORD, config=resumed))
    save_record(run, dataclasses.replace(RECORD, step=10))
    require_config(run)


def test_lines_may_be_added_and_none_altered(run):
    record = RunRecord("", 8, CONFIG, "", files=digests_of(run.path, ("metrics.jsonl",)))
    with run.metrics.open("a") as file:
        file.write("{}\n")
    record.require_file(run.metrics, may_be_longer=True)
    with pytest.raises(AlteredRunError, match="was altered"):
        record.require_file(run.metrics)
    run.metrics.write_text(run.metrics.read_text().replace("0.5", "0.4"))
    with pytest.raises(AlteredRunError, match="was altered"):
        record.require_file(run.metrics, may_be_longer=True)
    with pytest.raises(AlteredRunError, match="is in no record"):
        record.require_file(pathlib.Path(run.config))


def test_a_resumed_run_goes_on_from_files_as_they_were_saved(run):
    run.results.unlink()
    record = dataclasses.replace(RECORD, files=digests_of(run.path, READ_WHEN_RESUMED))
    with run.metrics.open("a") as file:
        file.write('{"step": 9, "epoch": 2, "kind": "train", "loss": 0.5}\n{"ste')
    assert resumed_scores(run, record) == RECORD.scores
    run.metrics.write_text(run.metrics.read_text().replace("0.5", "0.4", 1))
    with pytest.raises(AlteredRunError, match=r"metrics\.jsonl was altered"):
        resumed_scores(run, record)
    # Moved away, as the message says.
    run.metrics.unlink()
    assert resumed_scores(run, record) == RECORD.scores


def test_a_better_checkpoint_that_is_known_is_missed(run):
    require_best(run, 0.5, RECORD.scores)
    require_best(run, None, {})
    for found in (0.25, None):
        with pytest.raises(
            UserError, match=r"(?s)of step 4, is gone: its Dice in validation was 0\.5000.*put it back"
        ):
            require_best(run, found, RECORD.scores)
