"""`train`: from a config to a run folder with results.json; the same command again resumes."""

import os
import pathlib

import jax
from jax.sharding import Mesh

from nucseg_jax.cli.first_line import print_first_line
from nucseg_jax.cli.first_weights import FirstWeights, first_weights
from nucseg_jax.cli.run_end import print_end
from nucseg_jax.cli.run_scores import record_baseline, score_best
from nucseg_jax.cli.stain_target import target_of_training
from nucseg_jax.cli.training_run import TrainingRun, run_epochs, start_or_resume
from nucseg_jax.config import differences, may_change_on_resume
from nucseg_jax.core.counted import counted
from nucseg_jax.core.files import full_disk_explained, own_files_explained, write_json
from nucseg_jax.core.program import PROGRAM_WORDS
from nucseg_jax.core.terminal_lines import labelled, labelled_command
from nucseg_jax.data.patch_sizes import check_patches
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.data.split_sides import groups_by_side
from nucseg_jax.data.splits import SPLIT_NAMES
from nucseg_jax.experiment import (
    Experiment,
    choose_feed,
    make_evaluator,
    make_training_feed,
    read_experiment_file,
)
from nucseg_jax.run_folder.check import finish, require_config
from nucseg_jax.run_folder.claim import claim_run_folder
from nucseg_jax.run_folder.environment import StartedFrom, describe_environment
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.shared import one_run_folder
from nucseg_jax.runtime.huge_pages import huge_pages_hint
from nucseg_jax.runtime.processes import silence_non_primary
from nucseg_jax.runtime.stopwatch import Stopwatch, process_age_s
from nucseg_jax.training.checkpoint import open_checkpoints
from nucseg_jax.training.compiled_steps import CompiledSteps
from nucseg_jax.training.feed import FeedName, resolved_steps_per_dispatch
from nucseg_jax.training.schedule import Schedule, make_schedule


def train(
    experiment: Experiment,
    workdir: pathlib.Path,
    started_from: StartedFrom | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Trains, validates every epoch, scores all splits with the best checkpoint and prints the test score.

    Args:
      experiment: the config's parts.
      workdir: the run folder.
      started_from: origin of the config; recorded.
      verbose: print the scores of all splits in every convention too.

    Raises:
      UserError: no data, another run's folder, a batch that does not fit the mesh, a non-finite loss, a full disk.
      Preempted: SIGTERM; the state is saved.
    """
    if experiment.config.train.deterministic:
        # XLA reads it when the backend starts, which is when the mesh below looks for devices.
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    watch = Stopwatch({"imports": process_age_s()})
    plan = experiment.plan()
    check_patches(experiment.config, plan.info)
    settings = experiment.config.train
    schedule = make_schedule(
        len(plan.splits.train),
        epochs=settings.epochs,
        patch_px=plan.info.patch_px,
        tile_px=settings.tile_px,
        batch_size=settings.batch_size,
        log_every_steps=settings.log_every_steps,
        checkpoint_every_steps=settings.checkpoint_every_steps,
    )
    mesh = experiment.make_mesh(plan.info.patch_px)
    silence_non_primary()
    if jax.process_count() > 1 and started_from is not None:
        # A single process printed it before JAX was imported.
        print_first_line(started_from.config, workdir)
    weights = first_weights(experiment, RunFolder(workdir), plan)
    config, changes = experiment.config.as_json(), changes_since_start(experiment, RunFolder(workdir))
    claim = claim_run_folder(workdir, config, changes, plan.splits, plan.dataset)
    after_a_full_disk = "free some space, then rerun the same command to resume"
    with (
        own_files_explained(workdir),
        full_disk_explained(workdir, advice=after_a_full_disk),
        one_run_folder(claim, workdir) as folder,
    ):
        if folder.results.exists():
            print(f"{workdir} is finished; there is nothing left to train.")
            print_end(folder, verbose=verbose)
            return
        folder.record_start(describe_environment(started_from))
        feed_name = choose_feed(experiment, plan, mesh)
        announce(experiment, plan, schedule, mesh, weights)
        print(feed_line(experiment, plan, mesh, feed_name), end="\n\n", flush=True)
        if weights is not None:
            write_json(folder.pretrained, weights.facts)
        with watch.phase("data"):
            data = plan.read() if feed_name == "device" else plan.open()
            feed = make_training_feed(experiment, data, mesh, schedule)
            stain = target_of_training(experiment, folder, data)
        static = experiment.static_arguments(schedule.steps_per_epoch, has_void=plan.info.has_void)
        evaluator = make_evaluator(experiment, mesh, has_void=plan.info.has_void, stain=stain)
        programs = CompiledSteps()
        run = TrainingRun(
            experiment,
            schedule,
            data,
            feed,
            mesh,
            folder,
            static,
            evaluator,
            weights,
            programs,
            watch,
            plan.digest,
        )
        try:
            with watch.phase("start"):
                state = start_or_resume(run)
            with open_checkpoints(folder.checkpoints) as checkpoints:
                run_epochs(run, state, checkpoints)
            with watch.phase("test"):
                results = score_best(run)
                record_baseline(run)
        finally:
            run.record_timing()
        finish(folder, run.record(schedule.total_steps), results)
        print_end(folder, verbose=verbose)


def changes_since_start(experiment: Experiment, folder: RunFolder) -> list[str]:
    """Returns the fields that differ from the config the folder was started with and may not change on resume."""
    if not folder.config.exists():
        return []
    require_config(folder)
    before = read_experiment_file(folder.config).config
    changes = differences(before, experiment.config)
    return [line for name, line in changes.items() if not may_change_on_resume(name)]


def announce(
    experiment: Experiment, plan: DataPlan, schedule: Schedule, mesh: Mesh, weights: FirstWeights | None
) -> None:
    """Prints what is about to run, in a few lines."""
    model, train = experiment.config.model, experiment.config.train
    print(labelled("model", f"{model.decoder} on {model.encoder}, {train.dtype}"))
    for line in split_lines(plan, experiment.config.split.protocol):
        print(line)
    length = (
        f"{counted(schedule.epochs, 'epoch')} of {counted(schedule.steps_per_epoch, 'step')},"
        f" {counted(train.batch_size, 'tile')} of {train.tile_px} px a step, learning rate {train.lr:g}"
    )
    print(labelled("training", length))
    print(devices_line(mesh))
    hint = huge_pages_hint() if mesh.devices.flat[0].platform == "cpu" else ""
    if hint:
        print(labelled("memory", "without huge pages a step takes about a fifth longer; they need:"))
        print(labelled_command("", hint.split()))
    if weights is not None:
        print(labelled("weights", weights.summary))
    elif not (experiment.config.pretrained.path or experiment.config.pretrained.run):
        print(labelled("weights", "from scratch: pretrained.path is empty; the paper's ImageNet weights:"))
        words = (*PROGRAM_WORDS, "convert", f"--encoder={model.encoder}", "--source=download")
        print(labelled_command("", (*words, f"--out=weights/{model.encoder}")))
    frozen = experiment.frozen_stages
    if frozen:
        kept = "with" if experiment.config.transfer.freeze_batch_norm else "without"
        print(labelled("frozen", f"encoder {', '.join(frozen)}, {kept} their batch-norm statistics"))


def split_lines(plan: DataPlan, protocol: str) -> list[str]:
    """Returns lines with the number of patches and groups of each side, and how the sides were chosen."""
    splits, info = plan.splits, plan.info
    sizes = ", ".join(f"{name} {len(getattr(splits, name)):,}" for name in SPLIT_NAMES)
    lines = [labelled("patches", f"{sizes} ({protocol} split {splits.digest[:12]})")]
    groups = groups_by_side(plan.dataset.index, splits)
    if groups is not None and len(info.groups) > 1:
        of = ", ".join(f"{name} {count:,}" for name, count in groups.items())
        lines.append(labelled("groups", f"{of} of {counted(len(info.groups), info.group_noun)}"))
    return [*lines, *(labelled("split", note) for note in splits.notes)]


def devices_line(mesh: Mesh) -> str:
    """Returns the number of devices and processes, how the work is split over them, and the number of idle ones."""
    line = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    split = " x ".join(f"{axis} {size}" for axis, size in mesh.shape.items() if size > 1)
    if split:
        line += f": {split}"
    if jax.process_count() > 1:
        line += f"; {counted(jax.process_count(), 'process')}"
    idle = jax.device_count() - mesh.size
    if idle:
        line += f"; {idle} idle: the batch sizes cannot be split further, or mesh.data asks for fewer"
    return labelled("devices", line)


def feed_line(experiment: Experiment, plan: DataPlan, mesh: Mesh, feed_name: FeedName) -> str:
    """Returns where training patches wait, how many bytes they take, and how many steps run a dispatch."""
    train = experiment.config.train
    count = len(plan.splits.train)
    patches = f"{counted(count, 'training patch')}, {count * plan.bytes_per_patch / 1e6:,.0f} MB"
    steps = resolved_steps_per_dispatch(train.steps_per_dispatch, mesh)
    dispatch = f"{counted(steps, 'step')} a dispatch"
    if feed_name == "device":
        held = f"{train.store} over {counted(mesh.size, 'device')}"
        return labelled("feed", f"device: {patches}, {held}; {dispatch}")
    return labelled("feed", f"host: {patches} read from {plan.dataset.data_dir} as needed; {dispatch}")
