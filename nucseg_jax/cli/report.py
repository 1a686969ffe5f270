"""`report`: the paper's tables and figures, and what it lacks, from the folders of finished runs."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tqdm

from nucseg_jax.cli.describe import network_facts
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import Experiment, read_experiment
from nucseg_jax.reporting.page.document import Document, Gap
from nucseg_jax.reporting.page.write import require_report_folder, write_report
from nucseg_jax.reporting.reading.configuration import Cohort, make_cohorts
from nucseg_jax.reporting.reading.find import Found, find_runs
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.reporting.sections.compose import compose
from nucseg_jax.reporting.sections.head import unchecked, warnings


def report(pattern: str, out: pathlib.Path, paper: Sequence[Experiment]) -> None:
    """Reads all runs that match, writes the report, and prints its path and its gaps.

    Args:
      pattern: of run folders, as a shell would expand it.
      out: the folder to write; an old report there is replaced once the new one is complete.
      paper: the paper's models, in the order of `PAPER_MODELS`.

    Raises:
      UserError: no run matches, or `out` holds something else.
    """
    require_report_folder(out)
    found = find_runs(pattern, not_in=out)
    cohorts = make_cohorts(found.runs)
    models, gaps = table_1_rows(paper, cohorts)
    document = compose(found, cohorts, models, gaps)
    write_report(document, out)
    print(summary(found, cohorts, document, out))


def table_1_rows(
    paper: Sequence[Experiment], cohorts: Sequence[Cohort]
) -> tuple[list[Mapping[str, Any]], list[Gap]]:
    """Returns the rows of Table 1: the paper's models, and the networks of the runs that are none of these.

    Returns:
      The rows, and notes on networks whose config this version does not support.
    """
    requested = [
        (model.name, model.config, True, experiment)
        for model, experiment in zip(PAPER_MODELS, paper, strict=True)
    ]
    gaps: list[Gap] = []
    # Networks of the paper have their row already, whatever data they were trained on.
    names = {model.name for model in PAPER_MODELS}
    for configuration in (configuration for cohort in cohorts for configuration in cohort.configurations):
        if configuration.paper is not None or configuration.model in names:
            continue
        names.add(configuration.model)
        run = configuration.runs[0]
        source = str(run.path / "config.json")
        try:
            # Through JSON, where the config's lists are what a config file's tuples become.
            experiment = read_experiment(json.loads(json.dumps(run.config)))
        except UserError as error:
            gaps.append(
                Gap(f"{configuration.model}: {source} is not a config of this version ({_first(error)}).")
            )
            continue
        requested.append((configuration.model, source, False, experiment))
    rows: list[Mapping[str, Any]] = []
    for name, source, is_paper, experiment in tqdm.tqdm(requested, "counting", leave=False, disable=None):
        about = {"source": source, "config": experiment.config.as_json(), "is_paper": is_paper}
        rows.append({**network_facts(experiment), "name": name, **about})
    return rows, gaps


def summary(found: Found, cohorts: Sequence[Cohort], document: Document, out: pathlib.Path) -> str:
    """Returns a summary of what was read and written."""
    finished = sum(run.results is not None for run in found.runs)
    configurations = sum(len(cohort.configurations) for cohort in cohorts)
    gaps = sum(isinstance(block, Gap) and not block.repeats for block in document.blocks)
    lines = [
        f"read       {counted(len(found.runs), 'run')}, {finished} finished,"
        f" {counted(configurations, 'configuration')}",
        *(f"left out   {folder}: {reason}" for folder, reason in found.left_out),
        *(f"warning    {text}" for text in (*warnings(found, cohorts), *unchecked(found))),
        f"missing    {counted(gaps, 'gap')}, listed on the page with the commands that fill them",
        f"written    {out / 'report.html'}",
        f"           {out / 'report.md'}, figures/, tables/",
    ]
    return "\n".join(lines)


def _first(error: UserError) -> str:
    return str(error).splitlines()[0]
