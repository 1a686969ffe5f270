"""`train --sweep --executor=slurm`: the rows of a sweep as one array of Slurm jobs."""

import pathlib
import types
from collections.abc import Sequence
from typing import Any

from nucseg_jax.cli.sweep import SweepRun
from nucseg_jax.cli.table import render
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.runtime.private_folder import make_private, why_unsafe

EXAMPLE = "--slurm=partition=gpu,gres=gpu:1,time=240"
# What submitit works with itself; any other option goes to sbatch as it is.
NUMBERS = ("time", "array_parallelism", "signal_delay_s")


def submit_to_slurm(run: SweepRun, options: Sequence[str]) -> None:
    """Submits the rows that have no results, says what to type to look after them, and returns.

    A job whose time is up is put into the queue again, three times at most, and resumes from its last checkpoint.

    Args:
      run: the sweep.
      options: as in `slurm_parameters`.

    Raises:
      UserError: options that are not right, no submitit, no Slurm, sbatch refuses, or a folder that is not this
        sweep's.
    """
    parameters = slurm_parameters(options, job_name=f"nucseg_{run.sweep.file.stem}")
    submitit = import_submitit()
    run.claim()
    folder = claim_pickles(run.root)
    missing = run.missing()
    count = len(run.sweep.rows)
    print(f"sweep     {run.sweep.file}: {counted(count, 'row')}, {count - len(missing)} finished")
    if not missing:
        print("There is nothing left to submit.")
        return
    try:
        executor = submitit.SlurmExecutor(folder)
    except RuntimeError:
        raise UserError(
            "srun is not found",
            expected="a machine that submits to Slurm",
            advice="log in to one, or use --executor=local",
        ) from None
    executor.update_parameters(**parameters)
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        # A job of an interactive session must not hand its own allocation down.
        with submitit.helpers.clean_env():
            jobs = executor.submit_array([run.job(index) for index in missing])
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        raise UserError(
            f"sbatch refused the jobs: {str(error).strip()}",
            expected="options that this cluster's sbatch knows",
            advice=f"correct --slurm, such as {EXAMPLE}",
        ) from None
    number = jobs[0].job_id.partition("_")[0]
    print(f"submitted {len(missing)} as job {number}\n")
    rows = [
        (job.job_id, index, run.sweep.rows[index].label, run.log(index))
        for job, index in zip(jobs, missing, strict=True)
    ]
    print(render(("job", "index", "label", "output"), rows))
    print(f"\nqueue     squeue --job={number}")
    print(f"rows      {PROGRAM} train --sweep={run.sweep.file} --workdir={run.root} --list")
    print(f"cancel    scancel {number}")
    print(f"submitit  {folder}: its own files, where to look if a row has no output")
    print("\nThe same command again, once they have ended, submits what is missing.")


def claim_pickles(root: pathlib.Path) -> pathlib.Path:
    """Makes the folder that submitit writes, and refuses one that others could write to: its files run as code.

    Args:
      root: folder of the sweep's run folders.

    Raises:
      UserError: it cannot be made, or is not this user's alone.
    """
    folder = root / ".submitit"
    try:
        make_private(folder)
        fault = why_unsafe(folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made: {error.strerror}", advice="choose another --workdir"
        ) from None
    if fault:
        # submitit hands jobs and results on as pickles.
        raise UserError(f"what lies in {folder} is run as code: {fault}")
    return folder


def import_submitit() -> types.ModuleType:
    """Imports the package submitit.

    Raises:
      UserError: it is not installed.
    """
    require_extra("sweeps", "--executor=slurm")
    import submitit

    return submitit


def slurm_parameters(options: Sequence[str], *, job_name: str) -> dict[str, Any]:
    """Returns the parameters of submitit's executor.

    Args:
      options: 'NAME=VALUE' each, sbatch's long options; also submitit's array_parallelism (jobs at once) and
        signal_delay_s. `time` is in minutes and must be there: submitit would take five.
      job_name: unless an option says another.

    Raises:
      UserError: an option of another form, without time, or with a time that is no number of minutes.

    >>> slurm_parameters(["time=240", "gres=gpu:1"], job_name="seeds")
    {'wckey': None, 'time': 240, 'additional_parameters': {'job_name': 'seeds', 'gres': 'gpu:1'}}
    """
    # submitit would set a wckey, which clusters that account by them refuse.
    parameters: dict[str, Any] = {"wckey": None}
    others: dict[str, str] = {"job_name": job_name}
    for option in options:
        name, sign, value = (part.strip() for part in option.partition("="))
        name = name.lstrip("-").replace("-", "_")
        if not (sign and name and value):
            raise UserError(
                f"--slurm has {option!r}",
                expected=f"NAME=VALUE pairs of sbatch with commas between them, such as {EXAMPLE}",
                advice="quote a pair whose value has commas: --slurm='time=240,\"nodelist=a,b\"'",
            )
        if name not in NUMBERS:
            others[name] = value
        elif value.isdecimal() and int(value) > 0:
            parameters[name] = int(value)
        else:
            raise UserError(
                f"--slurm has {option!r}",
                expected="time in whole minutes" if name == "time" else "a whole number",
                advice=f"write it such as {name}=240",
            )
    if "time" not in parameters:
        raise UserError(
            "--slurm has no time", expected="how many minutes a row may take", advice=f"such as {EXAMPLE}"
        )
    return {**parameters, "additional_parameters": others}
