"""What lies in a run folder under a name of ours may have been put there by others."""

import pytest

from nucseg_jax.core.command_job import CommandJob
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.workspace import scratch
from nucseg_jax.training.claim import LOCK, claim_run_folder
from nucseg_jax.training.record import MetricsLog


def claim(folder):
    splits = Splits.from_json({name: [[1, 0]] for name in ("train", "validation", "test")})
    with claim_run_folder(folder, {}, [], splits, "digest"):
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
