"""One run folder for several processes: the primary process writes it, the others write temporary copies."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager

import jax
from jax.experimental import multihost_utils

from nucseg_jax.core.errors import UserError
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.runtime.processes import broadcast_from_primary, wait_for_all


@contextlib.contextmanager
def one_run_folder(claim: AbstractContextManager[RunFolder], path: pathlib.Path) -> Iterator[RunFolder]:
    """Yields the run folder in the primary process, and in each other one a temporary copy of it.

    Args:
      claim: what the first process enters, such as `claim_run_folder`; its UserError becomes everybody's.
      path: of the run folder, that all processes see.

    Yields:
      A folder to write to. All have the checkpoints of the first.
    """
    if jax.process_count() == 1:
        with claim as folder:
            yield folder
        return
    wait_for_all("the run folder")
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                folder = stack.enter_context(claim)
            except UserError as error:
                broadcast_from_primary(str(error))
                raise
            broadcast_from_primary("")
        else:
            refusal = broadcast_from_primary("")
            if refusal:
                raise UserError(refusal)
            own = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nucseg_jax_")))
            for name in (
                "config",
                "split",
                "dataset",
                "results",
                "record",
                "pretrained",
                "stain",
                "environment",
                "timing",
                "metrics",
            ):
                source = getattr(RunFolder(path), name)
                if source.exists():
                    shutil.copy(source, own)
            folder = RunFolder(own, shared=path)
        yield folder
        multihost_utils.sync_global_devices("the run is finished")
