"""The right to train in a run folder: one process at a time, with the config, split and data it was started with."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

from nucseg_jax.core.errors import UserError
from nucseg_jax.core.files import write_json
from nucseg_jax.core.lock import file_lock
from nucseg_jax.data.split_sides import images_by_side
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.run_folder.folder import RunFolder

LOCK = ".lock"


@contextlib.contextmanager
def claim_run_folder(
    path: pathlib.Path,
    config: Mapping[str, object],
    changes: list[str],
    splits: Splits,
    dataset: StoredDataset,
) -> Iterator[RunFolder]:
    """Makes a run folder, or reuses the one that is there, and holds it against other processes.

    Args:
      path: where.
      config: JSON values of the config; written, since fields that do not matter to the outcome may differ.
      changes: how `config` differs from the folder's own, in fields that matter to the outcome.
      splits: what will be trained on.
      dataset: the prepared data set, which is described in the folder.

    Yields:
      The folder.

    Raises:
      UserError: the folder cannot be written, is held by another process, belongs to another config, split or
        data set, or holds something other than a run.
    """
    folder = RunFolder(path)
    if changes:
        raise UserError(
            f"{path} was started with another config: " + "; ".join(changes),
            advice="choose another --workdir, or keep the old values",
        )
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file", expected="a folder, or a path that does not exist yet")
    # A start that was killed before it wrote config.json leaves some of these.
    if path.exists() and not folder.config.exists():
        beginnings = {folder.split.name, folder.dataset.name, LOCK}
        if any(entry.name not in beginnings and entry.suffix != ".part" for entry in path.iterdir()):
            raise UserError(
                f"{path} is not empty and has no config.json",
                expected="a run folder, an empty folder, or a path that does not exist yet",
                advice="choose another --workdir",
            )
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                file_lock(
                    path / LOCK,
                    busy=f"another process is training in {path}",
                    advice="wait for it, or choose another --workdir",
                )
            )
            for part in path.glob(".*.part"):
                part.unlink()
            if folder.config.exists():
                folder.require_same_data(splits, dataset.digest, dataset.info)
            else:
                lists = {"digest": splits.digest, "data_digest": dataset.digest, "lists": splits.as_json()}
                images = images_by_side(dataset.index, splits)
                write_json(folder.split, {**lists, "images": dict(images)} if images else lists)
                dataset.info.write(path)
            # Last: a folder with a config.json has all that a resumed run looks for.
            write_json(folder.config, config)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written: {error.strerror}", advice="choose another --workdir"
            ) from None
        yield folder
