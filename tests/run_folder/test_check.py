"""A finished run against its last record: every file, every score; few fields of the config are free."""

import dataclasses
import json

import pytest

from configs import base
from nucseg_jax.config import config_fields
from nucseg_jax.core.files import write_json
from nucseg_jax.run_folder.check import final_record, finish, known_scores, read_results
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.record import AlteredRunError, RunRecord, sealed_record

CONFIG = json.loads(base.get_config().to_json())
FIELDS = [(section, name) for section, fields in CONFIG.items() for name in fields]
RECORD = RunRecord("the checkpoint of step 8", 8, CONFIG, "s" * 64, "d" * 64, scores={4: 0.5, 8: 0.25})


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A finished run without checkpoints."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.metrics.write_text('{"step": 8, "epoch": 1, "kind": "train", "loss": 0.5}\n')
    finish(folder, RECORD, {"test": {"micro": {"dice": 0.75}}})
    return folder


def test_fields_that_may_differ_are_few():
    """They change no number: places, feeds, pictures and devices."""
    free = {name for name, field in config_fields().items() if field.may_change_on_resume}
    assert {name for name in free if not name.startswith("mesh.")} == {
        "data.dir", "data.release_dir", "data.allow_duplicates", "data.patch_px", "data.microns_per_px",
        "data.image_microns_per_px", "data.remainder", "split.table", "split.allow_shared_groups",
        "train.log_every_steps",
        "train.checkpoint_every_steps", "train.feed", "train.store", "eval.overlays", "eval.compare_statistics",
        "eval.time_inference", "eval.instances", "eval.tune_nuclei",
    }  # fmt: skip


def test_the_last_record_holds_every_file_that_is_read_again(run):
    names = {
        "environment.json",
        "timing.json",
        "per_image_test.csv",
        "calibration_test.csv",
        "examples_test.npz",
    }
    for name in names:
        (run.path / name).write_bytes(b"{}")
    finish(run, RECORD, {"test": {}})
    record = final_record(run)
    assert record.files.keys() == names | {"metrics.jsonl", "results.json"}
    for name in names:
        (run.path / name).write_bytes(b"[]")
        with pytest.raises(AlteredRunError, match="was altered"):
            record.require_file(run.path / name)


def saved(folder, record):
    """A checkpoint without arrays."""
    place = folder.checkpoints / str(record.step) / "record"
    place.mkdir(parents=True)
    write_json(place / "metadata", sealed_record(record))


def test_scores_of_a_finished_run_are_those_of_its_last_record_too(run):
    """The checkpoint of the last validation may have been removed."""
    saved(run, dataclasses.replace(RECORD, step=4, scores={4: 0.5}))
    finish(run, RECORD, {"test": {}})
    assert known_scores(run, up_to_step=4) == {4: 0.5, 8: 0.25}
    run.results.unlink()
    assert known_scores(run, up_to_step=4) == {4: 0.5}


def test_a_finished_run_with_sealed_checkpoints_needs_its_record(run):
    saved(run, RECORD)
    read_results(run)
    run.record.unlink()
    with pytest.raises(AlteredRunError, match=r"record\.json is missing"):
        read_results(run)
