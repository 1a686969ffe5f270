"""`train --sweep --executor=slurm`: the rows of a sweep as one array of Slurm jobs."""

import csv
import pathlib
import shutil
from typing import Any

from nucseg_jax.cli.sweep import SweepRun
from nucseg_jax.cli.table import render
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.extras import require_extra
from nucseg_jax.core.program import PROGRAM
from nucseg_jax.runtime.private_folder import make_private, why_unsafe

EXAMPLE = "--slurm=partition=gpu,gres=gpu:1,time=240"
# Parameters of submitit; other options go to sbatch unchanged.
NUMBERS = ("time", "array_parallelism", "signal_delay_s")


def submit_to_slurm(run: SweepRun, options: str) -> None:
    """Submits the rows that have no results, and prints the commands that follow them.

    A job whose time is up is put into the queue again, three times at most, and resumes from its last checkpoint.

    Raises:
      UserError: options that `slurm_parameters` refuses, no submitit, no Slurm, sbatch refuses, or a folder that
        is not this sweep's.
    """
    parameters = slurm_parameters(options, job_name=f"nucseg_{run.sweep.file.stem}")
    require_extra("sweeps", "--executor=slurm")
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    missing = run.claim()
    folder = claim_pickles(run.root)
    if not missing:
        print("There is nothing left to submit.")
        return
    if shutil.which("srun") is None:
        raise UserError(
            "srun is not found",
            expected="a machine that submits to Slurm",
            advice="log in to one, or use --executor=local",
        )
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(**parameters)
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
        (job.job_id, index, run.sweep.rows[index].label, run.job(index).log)
        for job, index in zip(jobs, missing, strict=True)
    ]
    print(render(("job", "index", "label", "output"), rows))
    print(f"""
queue     squeue --job={number}
rows      {PROGRAM} train --sweep={run.sweep.file} --workdir={run.root} --list
cancel    scancel {number}
submitit  {folder}: its own files, where to look if a row has no output

Rerun the same command once they have ended to submit what is missing.""")


def claim_pickles(root: pathlib.Path) -> pathlib.Path:
    """Makes the folder of submitit's pickles below a sweep's; raises UserError unless it is this user's alone."""
    folder = root / ".submitit"
    try:
        make_private(folder)
        fault = why_unsafe(folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made: {error.strerror}", advice="choose another --workdir"
        ) from None
    if fault:
        raise UserError(f"files in {folder} are run as code: {fault}")
    return folder


def slurm_parameters(options: str, *, job_name: str) -> dict[str, Any]:
    """Returns the parameters of submitit's executor.

    Args:
      options: NAME=VALUE pairs with commas between them, a pair that holds commas in double quotes: sbatch's long
        options, and submitit's array_parallelism (jobs that run together) and signal_delay_s. `time` is in minutes
        and required: submitit would take five.
      job_name: the default of `job_name`.

    Raises:
      UserError: an option of another form, or no time.

    >>> slurm_parameters("time=240,gres=gpu:1", job_name="seeds")
    {'wckey': None, 'time': 240, 'additional_parameters': {'job_name': 'seeds', 'gres': 'gpu:1'}}
    """
    # submitit would set a wckey, which clusters that account by them refuse.
    parameters: dict[str, Any] = {"wckey": None}
    others: dict[str, Any] = {"job_name": job_name}
    for option in next(csv.reader([options], skipinitialspace=True), []):
        name, _, value = (part.strip() for part in option.partition("="))
        name = name.lstrip("-").replace("-", "_")
        is_number = value.isdecimal() and int(value) > 0
        if not (name and value) or (name in NUMBERS and not is_number):
            raise UserError(
                f"--slurm has {option!r}",
                expected=f"NAME=VALUE pairs of sbatch, times in whole minutes, such as {EXAMPLE}",
                advice="quote a pair whose value has commas: --slurm='time=240,\"nodelist=a,b\"'",
            )
        if name in NUMBERS:
            parameters[name] = int(value)
        else:
            others[name] = value
    if "time" not in parameters:
        raise UserError(
            "--slurm has no time", expected="how many minutes a row may take", advice=f"such as {EXAMPLE}"
        )
    return {**parameters, "additional_parameters": others}
