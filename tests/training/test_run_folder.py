"""What lies in a run folder under a name of ours may have been put there by others."""

import pathlib

import numpy as np
import pytest

from nucseg_jax.core.command_job import CommandJob
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.data.store.workspace import scratch
from nucseg_jax.training.claim import LOCK, claim_run_folder
from nucseg_jax.training.record import MetricsLog


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
