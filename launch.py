"""The command line of nucseg_jax: python launch.py COMMAND --config=configs/NAME.py [flags].

Commands:
  prepare   checks PanNuke, CoNSeP, MoNuSeg or your own images and labels, and writes what training reads
  train     trains, validates and tests a model; the same command again resumes; --sweep: many of them
  evaluate  scores a trained model, or baselines, on a split
  predict   nuclei of images and slides: masks, outlines for QuPath, tables; the same command again resumes
  export    the model of a run as a StableHLO program that needs only JAX, for CPU, CUDA and TPU
  describe  parameters and arithmetic of a model: its row of the paper's Table 1; without --config all four rows
  convert   pretrained encoder weights of Keras, torchvision or timm into what pretrained.path takes
  profile   how fast a config trains and evaluates here, and what share of the machine that is
  report    the paper's tables and figures from run folders, beside the paper's values; needs no --config
"""

import io
import logging as python_logging
import os
import pathlib
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from nucseg_jax.cli.command_flags import FLAGS_OF, check_flags
from nucseg_jax.cli.config_argument import with_config_path
from nucseg_jax.cli.sweep_flags import SweepFlags, check_sweep_flags
from nucseg_jax.core.errors import STATUS_TO_REQUEUE, Preempted, UserError
from nucseg_jax.core.huge_pages import restart_with_huge_pages
from nucseg_jax.core.leaving import leave_when_told
from nucseg_jax.core.nearest import did_you_mean, did_you_mean_field
from nucseg_jax.core.paths import expand_user, user_path

if TYPE_CHECKING:
    import ml_collections

    from nucseg_jax.experiment import Experiment
    from nucseg_jax.training.environment import StartedFrom

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "a Python file such as those of configs/, run as code; its fields by --config.SECTION.FIELD=VALUE",
)
WORKDIR = flags.DEFINE_string("workdir", None, "the run folder; with --sweep the folder of its run folders")
SWEEP = flags.DEFINE_string(
    "sweep", None, "train: a Python file of configs/sweeps/, run as code; with --list, --index or --executor"
)
LIST = flags.DEFINE_bool("list", False, "train --sweep: shows the rows")
INDEX = flags.DEFINE_integer("index", None, "train --sweep: trains this row, in WORKDIR/LABEL")
EXECUTOR = flags.DEFINE_enum(
    "executor", None, ["local", "slurm"], "train --sweep: trains all rows that are not finished"
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "train, evaluate: one of several processes, as Slurm, MPI, Kubernetes or the TPU pod says",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "train, evaluate: HOST:PORT of the first of several processes"
)
PROCESSES = flags.DEFINE_integer("processes", None, "with --coordinator: how many there are", lower_bound=1)
PROCESS_INDEX = flags.DEFINE_integer(
    "process_index", None, "with --coordinator: which one this is", lower_bound=0
)
JOBS = flags.DEFINE_integer("jobs", None, "train --executor=local: rows at once; 1", lower_bound=1)
SLURM = flags.DEFINE_list("slurm", None, "train --executor=slurm: partition=gpu,gres=gpu:1,time=MINUTES,...")
SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "evaluate: which split")
BASELINES = flags.DEFINE_bool("baselines", False, "evaluate: score Otsu and all-foreground too")
FORCE = flags.DEFINE_bool("force", False, "evaluate: score a split even if the run trained on it")
ENCODER = flags.DEFINE_string("encoder", None, "convert: the encoder, such as resnet50")
SOURCE = flags.DEFINE_string("source", None, "convert: a file of weights, or 'download' for the official one")
OUT = flags.DEFINE_string("out", None, "convert, report, predict: the folder to write; export: the file")
INPUTS = flags.DEFINE_multi_string(
    "inputs",
    [],
    "predict: images, folders or globs, such as 'slides/*.svs'; several with commas, or by several flags",
)
MPP = flags.DEFINE_float("mpp", None, "predict: microns per pixel of all images; as each file says")
MPP_FROM_OBJECTIVE = flags.DEFINE_bool(
    "mpp_from_objective", False, "predict: without microns per pixel, 10 / the objective's power (20x = 0.5)"
)
TILE_PX = flags.DEFINE_integer(
    "tile_px",
    None,
    "predict: side of the tiles, px at the model's scale; the patches' that the run was trained on",
)
OVERLAP_PX = flags.DEFINE_integer(
    "overlap_px", None, "predict: overlap of adjacent tiles; 64 px, or half a tile where that is less"
)
THRESHOLD = flags.DEFINE_float("threshold", 0.5, "predict: a pixel is nucleus where its probability > this")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "predict: tiles at once; no result depends on it")
RUNS = flags.DEFINE_string(
    "runs", None, "report: a pattern of run folders, such as 'runs/*'; several with commas"
)
LAYERS = flags.DEFINE_bool("layers", False, "describe: list every array of the model too")
JSON = flags.DEFINE_bool("json", False, "describe, profile: JSON in place of a table")
FEEDS = flags.DEFINE_list("feeds", [], "profile: some of synthetic,device,host; all that the data allow")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", [], "profile: such as 2,8; the config's")
DTYPES = flags.DEFINE_list("dtypes", [], "profile: such as float32,bfloat16; the config's")
SECONDS = flags.DEFINE_float("seconds", 20.0, "profile: to measure each row, compilation not counted")
TRACE = flags.DEFINE_string("trace", None, "profile: a folder for a trace that TensorBoard and Perfetto show")


# Commands import what they need when they are called, so that help and errors in flags come at once.
def prepare() -> None:
    """Runs `prepare`."""
    from nucseg_jax.cli.next_command import Invocation
    from nucseg_jax.cli.prepare import prepare

    experiment = config_experiment()
    split = experiment.config.split
    folds = split.folds if split.protocol == "k_fold" else 0
    prepare(experiment.data, Invocation(sys.argv, experiment.config.model.num_classes, folds))


def train() -> None:
    """Runs `train`."""
    from nucseg_jax.cli.train import train

    if SWEEP.value is not None:
        train_sweep(user_path(SWEEP.value))
        return
    experiment = config_experiment()
    train(experiment, workdir("runs/NAME"), started_from())


def train_sweep(file: pathlib.Path) -> None:
    """Runs `train --sweep`: lists the rows, trains one, or has all trained; exit status 1 if some failed."""
    from nucseg_jax.cli.sweep import list_rows
    from nucseg_jax.cli.train_sweep import train_sweep
    from nucseg_jax.sweep import prepared_groups, read_sweep, row_experiments

    groups = None if CONFIG.value is None else lambda: prepared_groups(config().to_dict())
    sweep = read_sweep(file, groups)
    if LIST.value:
        if CONFIG.value is not None:
            row_experiments(sweep, config().to_dict(), started_from().overrides)
        list_rows(sweep, user_path(WORKDIR.value) if WORKDIR.value else None)
        return
    experiments = row_experiments(sweep, config().to_dict(), started_from().overrides)
    root = workdir("runs/SWEEP, the folder of its run folders")
    program = (sys.executable, sys.argv[0])
    if not train_sweep(sweep, experiments, root, started_from(), sweep_flags(), program=program):
        sys.exit(1)


def evaluate() -> None:
    """Runs `evaluate`."""
    from nucseg_jax.cli.evaluate import evaluate

    evaluate(
        config_experiment() if CONFIG.value is not None else None,
        user_path(WORKDIR.value) if WORKDIR.value else None,
        split=SPLIT.value,
        baselines=BASELINES.value,
        force=FORCE.value,
    )


def predict() -> None:
    """Runs `predict`; exit status 1 if some images could not be read."""
    if not (WORKDIR.value and INPUTS.value and OUT.value):
        raise UserError(
            "predict needs --workdir, --inputs and --out",
            advice="python launch.py predict --workdir=runs/NAME --inputs='images/*.png' --out=nuclei",
        )
    from nucseg_jax.cli.predict import PredictSettings, predict
    from nucseg_jax.cli.predict_inputs import split_inputs
    from nucseg_jax.inference.nuclei import NucleusRule

    failures = predict(
        user_path(WORKDIR.value),
        [name for text in INPUTS.value for name in split_inputs(text)],
        user_path(OUT.value),
        PredictSettings(
            microns_per_px=MPP.value,
            tile_px=TILE_PX.value,
            overlap_px=OVERLAP_PX.value,
            rule=NucleusRule(threshold=THRESHOLD.value),
            mpp_from_objective=MPP_FROM_OBJECTIVE.value,
        ),
        batch_size=BATCH_SIZE.value,
    )
    if failures:
        sys.exit(1)


def export() -> None:
    """Runs `export`."""
    if not (WORKDIR.value and OUT.value):
        raise UserError(
            "export needs --workdir and --out",
            advice="python launch.py export --workdir=runs/NAME --out=model.stablehlo",
        )
    from nucseg_jax.cli.export import export

    export(user_path(WORKDIR.value), user_path(OUT.value))


def describe() -> None:
    """Runs `describe`."""
    from nucseg_jax.cli.describe import describe

    experiments = [config_experiment()] if CONFIG.value is not None else paper_experiments()
    describe(experiments, as_json=JSON.value, layers=LAYERS.value)


def convert() -> None:
    """Runs `convert`."""
    from nucseg_jax.cli.convert import convert

    if not (ENCODER.value and SOURCE.value and OUT.value):
        raise UserError(
            "convert needs --encoder, --source and --out",
            advice="python launch.py convert --encoder=resnet50 --source=download --out=weights/resnet50",
        )
    convert(ENCODER.value, expand_user(SOURCE.value), user_path(OUT.value))


def profile() -> None:
    """Runs `profile`."""
    from nucseg_jax.cli.profile import profile

    try:
        batch_sizes = [int(size) for size in BATCH_SIZES.value]
    except ValueError:
        raise UserError(
            f"--batch_sizes is {','.join(BATCH_SIZES.value)}", expected="whole numbers, such as 2,8"
        ) from None
    profile(
        config_experiment(),
        feeds=FEEDS.value,
        batch_sizes=batch_sizes,
        dtypes=DTYPES.value,
        seconds=SECONDS.value,
        as_json=JSON.value,
        trace=user_path(TRACE.value) if TRACE.value else None,
    )


def report() -> None:
    """Runs `report`."""
    from nucseg_jax.cli.report import report

    if not (RUNS.value and OUT.value):
        raise UserError(
            "report needs --runs and --out", advice="python launch.py report --runs='runs/*' --out=report"
        )
    report(RUNS.value, user_path(OUT.value), paper_experiments())


COMMANDS = {
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "describe": describe,
    "convert": convert,
    "profile": profile,
    "report": report,
}


def paper_experiments() -> "list[Experiment]":
    """The paper's four models, in the order of its Table 1."""
    from configs import (
        deeplabv3plus_efficientnet_b4,
        deeplabv3plus_resnet50,
        unet_efficientnet_b4,
        unet_resnet50,
    )
    from nucseg_jax.experiment import read_experiment

    # Those of configs/paper.py.
    files = (unet_resnet50, unet_efficientnet_b4, deeplabv3plus_resnet50, deeplabv3plus_efficientnet_b4)
    return [read_experiment(file.get_config()) for file in files]


def config_experiment() -> "Experiment":
    """The experiment of --config."""
    from nucseg_jax.experiment import read_experiment

    return read_experiment(config())


def config() -> "ml_collections.ConfigDict":
    """--config, with what the command line changes in it."""
    if CONFIG.value is None:
        raise UserError(
            "--config is missing", advice="add --config=configs/quickstart.py or another of configs/"
        )
    try:
        if not hasattr(CONFIG.value, "copy_and_resolve_references"):
            raise no_config(f"makes a config of type {type(CONFIG.value).__name__}")
        return CONFIG.value.copy_and_resolve_references()
    except OSError as error:
        # ml_collections keeps an error of the config file until its first use.
        raise UserError(
            f"the config file cannot be loaded: {error}", expected="a file such as configs/quickstart.py"
        ) from None


def workdir(example: str) -> pathlib.Path:
    """--workdir, without which `train` does not run."""
    if not WORKDIR.value:
        raise UserError("--workdir is missing", advice=f"add --workdir={example}")
    return user_path(WORKDIR.value)


def started_from() -> "StartedFrom":
    """Where the config comes from, for the record of a run."""
    from nucseg_jax.training.environment import StartedFrom

    flag = flags.FLAGS["config"]
    return StartedFrom(config_flags.get_config_filename(flag), config_flags.get_override_values(flag))


def sweep_flags() -> SweepFlags:
    """What the command line says of a sweep."""
    return SweepFlags(
        sweep=SWEEP.value,
        list_rows=LIST.value,
        index=INDEX.value,
        executor=EXECUTOR.value,
        jobs=JOBS.value,
        slurm=SLURM.value,
    )


def is_one_of_several() -> bool:
    """Whether the flags speak of other processes."""
    if not flags.FLAGS.is_parsed():
        return False
    explicit = (COORDINATOR.value, PROCESSES.value, PROCESS_INDEX.value)
    return DISTRIBUTED.value or explicit != (None, None, None)


def join() -> None:
    """Connects this process with the others, if there are others."""
    if not is_one_of_several():
        return
    from nucseg_jax.training.processes import join_processes

    join_processes(COORDINATOR.value, PROCESSES.value, PROCESS_INDEX.value)


def main(arguments: list[str]) -> None:
    """Runs the command named first."""
    names = arguments[1:]
    if len(names) != 1 or names[0] not in COMMANDS:
        raise UserError(
            f"the command is {' '.join(names) or 'missing'}{did_you_mean(' '.join(names), COMMANDS)}",
            expected="one of " + ", ".join(COMMANDS),
            advice="python launch.py train --config=configs/quickstart.py --workdir=runs/quickstart",
        )
    check_flags({name for name in FLAGS_OF if flags.FLAGS[name].present}, names[0])
    check_sweep_flags(sweep_flags())
    # Of several processes JAX tells all together; --executor ends its jobs itself.
    if names[0] == "train" and EXECUTOR.value is None and not is_one_of_several():
        leave_when_told()
    from nucseg_jax.core.compilation_cache import enable_compilation_cache

    # absl starts at INFO, where orbax writes a page a checkpoint, and it warns of every read-only opening;
    # --verbosity=0 brings both back.
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)
    # Of a hundred writes that fail together the first is reported; asyncio would print the others too.
    python_logging.getLogger("asyncio").setLevel("CRITICAL")
    enable_compilation_cache()
    join()
    COMMANDS[names[0]]()


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line; whatever cannot be parsed becomes a UserError."""
    try:
        return flags.FLAGS(with_config_path(arguments))
    except UserError:
        raise
    except flags.UnrecognizedFlagError as error:
        raise unknown_flag(error.flagname) from None
    except SyntaxError as error:
        raise UserError(
            f"{error.filename}, line {error.lineno}, is not Python: {error.msg}",
            expected="a Python file such as configs/quickstart.py",
        ) from None
    except (AttributeError, KeyError) as error:
        if str(error).endswith("has no attribute 'get_config'"):
            raise no_config("has no function get_config") from None
        unknown = unknown_overrides(arguments)
        # Otherwise it is a fault of the config file itself, whose traceback shows the line.
        if not unknown:
            raise
        raise UserError(
            "; ".join(unknown), expected="--config.SECTION.FIELD=VALUE with the fields of configs/base.py"
        ) from error
    except (flags.Error, OSError, TypeError, ValueError) as error:
        overrides = [argument for argument in arguments if argument.startswith("--config.")]
        if not overrides and not isinstance(error, flags.Error):
            raise
        # ml_collections puts the traceback of a config file into its message.
        told = str(error).strip().splitlines()[-1] if "Traceback" in str(error) else error
        raise UserError(
            f"{' '.join(overrides) or 'the command line'} cannot be parsed: {told}",
            expected="--config=FILE first, then --config.SECTION.FIELD=VALUE with the fields of configs/base.py;"
            " python launch.py --helpfull lists the other flags",
        ) from None


def no_config(fault: str) -> UserError:
    """The error for a Python file that is there, and is no config."""
    return UserError(
        f"the file of --config {fault}",
        expected="a file with get_config() -> ConfigDict, such as configs/quickstart.py;"
        " files of configs/sweeps/ are given by --sweep",
    )


def unknown_flag(name: str) -> UserError:
    """The error for a flag that is not there, with those that are spelt alike."""
    if name.startswith("config."):
        return UserError(f"--{name} has no config to change", expected=f"--config=FILE before --{name}")
    alike = did_you_mean(f"--{name}", [f"--{flag}" for flag in FLAGS_OF])
    return UserError(
        f"there is no flag --{name}{alike}", expected="a flag that python launch.py --help lists"
    )


def unknown_overrides(arguments: list[str]) -> list[str]:
    """The fields of --config.SECTION.FIELD=VALUE that configs do not have, each with what is nearest."""
    from nucseg_jax.config import config_fields

    given = [
        argument.removeprefix("--config.").partition("=")[0]
        for argument in arguments
        if argument.startswith("--config.")
    ]
    known = config_fields()
    return [
        f"--config.{field}: configs have no field {field}{did_you_mean_field(field, known)}"
        for field in given
        if field not in known
    ]


def leave(status: int) -> NoReturn:
    """Ends this process; one of several at once, without the farewell that the others are not ready for."""
    if is_one_of_several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def print_any_name() -> None:
    """Has characters that the encoding of standard output lacks printed as escapes; a name of a file may hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run() -> None:
    """Runs `main`; a fault of the user's ends in one message on standard error and exit status 2."""
    print_any_name()
    try:
        app.run(main, flags_parser=parse_flags)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        leave(2)
    except Preempted as place:
        print(f"\nthe machine is wanted back: saved at {place}; the same command goes on", file=sys.stderr)
        sys.exit(STATUS_TO_REQUEUE)
    except KeyboardInterrupt:
        print(
            "\ninterrupted; the same command goes on from the last checkpoint, if there is one",
            file=sys.stderr,
        )
        leave(130)
    except Exception:
        if not is_one_of_several():
            raise
        traceback.print_exc()
        print(
            "error: one of several processes failed; if it was not this one, the output of another says why.\n"
            "What to do: start all of them again; they go on from the last checkpoint.",
            file=sys.stderr,
        )
        leave(1)


if __name__ == "__main__":
    restart_with_huge_pages()
    run()
