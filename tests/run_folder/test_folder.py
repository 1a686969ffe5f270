"""What lies in a run folder under a name of ours may have been put there by others."""

import dataclasses
import pathlib

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.data.store.workspace import scratch
from nucseg_jax.run_folder.check import READ_WHEN_RESUMED, finish
from nucseg_jax.run_folder.claim import LOCK, claim_run_folder
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.metrics_log import MetricsLog
from nucseg_jax.run_folder.record import AlteredRunError, RunRecord, digests_of
from nucseg_jax.runtime.command_job import CommandJob


def stored(info: DatasetInfo, digest: str = "digest") -> StoredDataset:
    """A data set of one patch, as far as is known without reading it."""
    one: np.ndarray = np.ones(1, np.int32)
    index = PatchIndex(one, 0 * one, None, ("",), 0 * one, 0 * one, ("",))
    return StoredDataset(pathlib.Path("data"), info, index, digest, np.zeros((0, 4), np.int32))


def claim(folder):
    splits = Splits.from_json({name: [[1, 0]] for name in ("train", "validation", "test")})
    with claim_run_folder(folder, {}, [], splits, stored(PANNUKE)):
        pass


def prepare(folder):
    with scratch(folder):
        pass


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        (LOCK, claim),
        (".prepare.lock", prepare),
        ("metrics.jsonl", lambda folder: MetricsLog(folder / "metrics.jsonl").close()),
        ("row.log", lambda folder: CommandJob(("true",), folder / "row.log")()),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_a_link_leads_to_is_neither_made_nor_changed(tmp_path, name, begin, is_there):
    precious, folder = tmp_path / "precious", tmp_path / "run"
    folder.mkdir()
    if is_there:
        precious.write_text('{"step": 1}\n')
    (folder / name).symlink_to(precious)
    message = ""
    try:
        begin(folder)
    except (UserError, OSError) as error:
        message = str(error)
    # Refused, or a file in place of the link.
    assert f"{name} is a link" in message or not (folder / name).is_symlink()
    assert precious.exists() == is_there
    assert not is_there or precious.read_text() == '{"step": 1}\n'


def test_a_scratch_folder_that_is_a_link_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".preparing").symlink_to(tmp_path / "elsewhere")
    with scratch(tmp_path / "data") as folder:
        (folder / "file").touch()
    assert list((tmp_path / "elsewhere").iterdir()) == []


TOY = DatasetInfo(
    "toy",
    (NucleusClass("tumour", (1, 2, 3)), NucleusClass("stroma", (4, 5, 6))),
    ("ann", "bob"),
    patch_px=128,
    microns_per_px=0.5,
)
SPLITS = Splits.from_json({name: [[1, 0]] for name in ("train", "validation", "test")})


def claimed(folder: pathlib.Path, info: DatasetInfo) -> RunFolder:
    with claim_run_folder(folder, {}, [], SPLITS, stored(info)) as run:
        return run


def test_a_run_folder_tells_what_its_data_set_is_and_is_pannukes_where_it_does_not(tmp_path):
    run = claimed(tmp_path / "run", TOY)
    assert run.read_info() == TOY
    run.dataset.unlink()
    assert run.read_info() == PANNUKE


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"classes": TOY.classes[::-1]}, r"classes: \['tumour', 'stroma'\] -> \['stroma', 'tumour'\]"),
        ({"classes": ()}, "classes: "),
        ({"groups": ("ann", "eve")}, "groups: "),
        ({"group_noun": "patient"}, "groups: "),
        ({"patch_px": 256}, "patch_px: 128 -> 256"),
        ({"microns_per_px": 0.25}, r"microns_per_px: 0\.5 -> 0\.25"),
        ({"has_void": True}, "has_void: False -> True"),
    ],
)
def test_a_run_resumes_on_the_data_set_it_was_started_on(tmp_path, change, named):
    run = claimed(tmp_path / "run", TOY)
    before = run.dataset.read_bytes()
    with pytest.raises(UserError, match=f"described otherwise: {named}"):
        claimed(run.path, dataclasses.replace(TOY, **change))
    # Colours, licence and the name that people call it by change no result.
    recoloured = tuple(each._replace(color=(9, 9, 9)) for each in TOY.classes)
    claimed(run.path, dataclasses.replace(TOY, classes=recoloured, licence="CC0", name="toys"))
    assert run.dataset.read_bytes() == before


def test_a_run_of_an_earlier_version_resumes_whether_its_data_set_has_classes_or_none(tmp_path):
    run = claimed(tmp_path / "run", PANNUKE)
    run.dataset.unlink()
    for info in (PANNUKE, dataclasses.replace(PANNUKE, classes=())):
        claimed(run.path, info)
        assert not run.dataset.exists()


@pytest.mark.parametrize("damage", ["removed", "other names", "added"])
def test_a_description_is_the_one_that_the_checkpoints_were_saved_with(tmp_path, damage):
    run = claimed(tmp_path / "run", TOY)
    if damage == "added":
        run.dataset.unlink()
    files = digests_of(run.path, READ_WHEN_RESUMED)
    finish(run, RunRecord("", 8, {}, SPLITS.digest, "digest", files=files), {"test": {}})
    run.newest_record().require_presence(run.dataset)
    if damage == "removed":
        run.dataset.unlink()
    else:
        dataclasses.replace(TOY, groups=("ann", "eve")).write(run.path)
    with pytest.raises(AlteredRunError, match=r"dataset\.json (is missing|was altered|is in no record)"):
        run.read_info()


@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_no_run_has_no_data_set(tmp_path, is_there):
    """It would be taken for a run of an earlier version, all of which are PanNuke's."""
    folder = tmp_path / "run"
    if is_there:
        folder.mkdir()
    with pytest.raises(UserError, match="no run"):
        RunFolder(folder).read_info()
