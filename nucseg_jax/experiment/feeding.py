"""The feed of a training step, as a config has it."""

import functools
from typing import TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh

from nucseg_jax.data.balanced_sampling import training_probability
from nucseg_jax.data.batch import Batch
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import DataPlan, PreparedData
from nucseg_jax.experiment.parts import Experiment
from nucseg_jax.runtime.mesh import examples_devices
from nucseg_jax.runtime.processes import all_agree
from nucseg_jax.training.device_feed import DevicePatches, device_feed
from nucseg_jax.training.feed import FeedName, TrainingFeed, fits_device, resolved_steps_per_dispatch
from nucseg_jax.training.host_feed import host_feed
from nucseg_jax.training.schedule import Schedule

# Of the device feed, and of the host feed.
EitherFeed: TypeAlias = TrainingFeed[DevicePatches, jax.Array] | TrainingFeed[tuple[()], Batch[jax.Array]]


def choose_feed(experiment: Experiment, plan: DataPlan, mesh: Mesh) -> FeedName:
    """The feed that `train.feed` names, or for 'auto' the one that memory allows."""
    asked = experiment.config.train.feed
    if asked != "auto":
        return asked
    devices = list(mesh.local_devices)
    size = len(plan.splits.train) * plan.bytes_per_patch
    on_each = size // examples_devices(mesh) if experiment.config.train.store == "sharded" else size
    # On CPU the devices' memory is the host's.
    on_host = on_each * len(devices) if devices[0].platform == "cpu" else 0
    fits = fits_device(on_each, devices) and plan.fits_in_memory(also_bytes=on_host)
    return "device" if all_agree(fits) else "host"


def make_training_feed(
    experiment: Experiment, data: PreparedData, mesh: Mesh, schedule: Schedule
) -> EitherFeed:
    """Makes the feed of batches for the training step; the device feed moves the patches to the mesh.

    `train.feed = 'auto'` means device for patches in memory, and host for patches on disk: whoever calls
    reads or opens the plan as `choose_feed` decides.
    """
    train = experiment.config.train
    steps_per_dispatch = resolved_steps_per_dispatch(train.steps_per_dispatch, mesh)
    is_on_device = train.feed == "device" or (train.feed == "auto" and isinstance(data.patches, Patches))
    make = functools.partial(device_feed, store=train.store) if is_on_device else host_feed
    return make(
        data.patches,
        data.rows("train"),
        patch_px=data.info.patch_px,
        tile_px=train.tile_px,
        batch_size=train.batch_size,
        seed=train.seed,
        schedule=schedule,
        steps_per_dispatch=steps_per_dispatch,
        mesh=mesh,
        probability=_patch_probability(experiment, data),
        crops=train.crops,
    )


def _patch_probability(experiment: Experiment, data: PreparedData) -> np.ndarray | None:
    """The probability of each training patch where they are drawn with replacement, else None."""
    settings = experiment.config.data
    if settings.sampling == "uniform":
        return None
    return training_probability(data.patches, data.rows("train"), data.info, gamma=settings.sampling_gamma)
