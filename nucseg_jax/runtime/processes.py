"""Several processes that train one model: how they join, and which of them prints and writes.

Each runs the same program on the devices of its host. The primary one keeps the run folder and prints; the others keep
their records in a temporary folder, so that no other code has to know which one it runs in.
Checkpoints are everybody's: each process writes the parts that it holds into the one folder, which all must reach.
"""

import os
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from nucseg_jax.core.errors import UserError

# Time until a process that is gone is noticed, and the longest wait of a shutdown.
SECONDS_TO_NOTICE = 30
# The longest wait at a barrier: the slowest host compiles a program or reads a data set.
JOIN_TIMEOUT_S = 1800
_MESSAGE_BYTES = 4096


def join_processes(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None
) -> None:
    """Connects this process with the others; before anything asks JAX for its devices.

    Args:
      coordinator: 'HOST:PORT' of the first process; None, and the others too = as Slurm, MPI, a Kubernetes job or
        the metadata of a TPU pod say.
      processes: how many there are.
      index: which one this is, from 0.

    Raises:
      UserError: some of the three are missing, nothing around tells where the others are, or they do not come.
    """
    explicit = (coordinator, processes, index)
    if None in explicit and explicit != (None, None, None):
        raise UserError(
            "some of --coordinator, --processes and --process_index are missing",
            expected="all three, or --distributed alone",
        )
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            index,
            heartbeat_timeout_seconds=SECONDS_TO_NOTICE,
            shutdown_timeout_seconds=SECONDS_TO_NOTICE,
        )
    # JAX raises ValueError for what is missing, RuntimeError for what cannot be reached.
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes cannot be joined: {error}",
            expected="a Slurm, MPI, Kubernetes or TPU pod job, or --coordinator=HOST:PORT --processes=N"
            " --process_index=I",
            advice="see docs/scale.md",
        ) from None


def silence_non_primary() -> None:
    """Silences the standard output of all processes but the primary one; starts the backend."""
    if jax.process_index():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def wait_for_all(where: str) -> None:
    """Waits until every process is there; before the first exchange of a new program, which waits for 30 s at most.

    Args:
      where: a name for messages; the same in all processes.

    Raises:
      JaxRuntimeError: a process does not come, or is gone.
    """
    ocp.multihost.get_barrier_sync_fn()(key=where, timeout_ms=JOIN_TIMEOUT_S * 1000)


def all_agree(answer: bool) -> bool:
    """Returns True if the answer is True in every process; each must call it."""
    return answer if jax.process_count() == 1 else bool(multihost_utils.process_allgather(answer).all())


def broadcast_from_primary(text: str) -> str:
    """Returns the text of the primary process in every process."""
    content = text.encode()[:_MESSAGE_BYTES]
    message: np.ndarray = np.zeros(_MESSAGE_BYTES, np.uint8)
    message[: len(content)] = np.frombuffer(content, np.uint8)
    heard = np.asarray(multihost_utils.broadcast_one_to_all(message))
    return heard.astype(np.uint8).tobytes().rstrip(b"\0").decode(errors="ignore")
