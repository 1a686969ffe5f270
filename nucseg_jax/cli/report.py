"""`report`: which configuration is best, and all else about the runs that it was made from, as one page."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tqdm

from nucseg_jax.cli.describe import network_facts
from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.terminal_lines import COLUMNS, labelled
from nucseg_jax.experiment import Experiment, read_experiment
from nucseg_jax.reporting.page.document import Document, Gap, Interval, Spread, plain, shown
from nucseg_jax.reporting.page.write import require_report_folder, write_report
from nucseg_jax.reporting.reading.configuration import Cohort, Configuration, make_cohorts
from nucseg_jax.reporting.reading.find import Found, find_runs
from nucseg_jax.reporting.reading.paper import PAPER_MODELS
from nucseg_jax.reporting.reading.robustness import with_measurements_of
from nucseg_jax.reporting.sections.answer import bpq_rows, dice_cells
from nucseg_jax.reporting.sections.compose import Wishes, compose, is_of_the_paper, make_parts
from nucseg_jax.reporting.sections.part import Part
from nucseg_jax.reporting.sections.runs import problems

_BEST = 3


def report(
    pattern: str,
    out: pathlib.Path,
    wishes: Wishes,
    paper: Callable[[], Sequence[Experiment]],
    robustness: Sequence[pathlib.Path] = (),
) -> None:
    """Reads all runs that match, writes the report, and prints the best of them and where the page is.

    Args:
      pattern: of run folders, as a shell would expand it.
      out: the folder to write; an old report there is replaced once the new one is whole.
      wishes: of the reader.
      paper: gives the paper's models, in the order of `PAPER_MODELS`.
      robustness: folders of measurements that lie outside the run folders.

    Raises:
      UserError: no run matches, none has the baseline's label, a measurement is of no run, or `out` holds something
        else.
    """
    require_report_folder(out)
    found = find_runs(pattern, not_in=out)
    found = found._replace(runs=with_measurements_of(robustness, found.runs))
    cohorts = make_cohorts(found.runs)
    models: list[Mapping[str, Any]] = []
    gaps: list[Gap] = []
    configs: dict[str, Mapping[str, Any]] = {}
    if wishes.is_paper or any(map(is_of_the_paper, cohorts)):
        experiments = dict(zip((model.name for model in PAPER_MODELS), paper(), strict=True))
        configs = {name: experiment.config.as_json() for name, experiment in experiments.items()}
        models, gaps = table_1_rows(experiments, cohorts, has_all=wishes.is_paper)
    parts = make_parts(cohorts, wishes, configs)
    document = compose(found, parts, wishes, models, gaps)
    write_report(document, out)
    print(summary(found, parts, document, out))


def table_1_rows(
    paper: Mapping[str, Experiment], cohorts: Sequence[Cohort], *, has_all: bool
) -> tuple[list[Mapping[str, Any]], list[Gap]]:
    """Returns the rows of Table 1: the networks of the runs, and with `has_all` those of the paper that were not run.

    Returns:
      The rows, the paper's models first, and what is told of networks whose config this version cannot read.
    """
    configurations = {each.model: each for cohort in cohorts for each in cohort.configurations}
    networks = [
        (model.name, model.config, True, paper[model.name])
        for model in PAPER_MODELS
        if has_all or model.name in configurations
    ]
    gaps: list[Gap] = []
    for name, configuration in configurations.items():
        if name in paper:
            continue
        run = configuration.runs[0]
        source = str(run.path / "config.json")
        try:
            # Through JSON, where the config's lists are what a config file's tuples become.
            networks.append((name, source, False, read_experiment(json.loads(json.dumps(run.config)))))
        except UserError as error:
            reason = str(error).splitlines()[0]
            gaps.append(Gap(f"{name}: {source} is no config of this version ({reason})."))
    rows: list[Mapping[str, Any]] = []
    for name, source, is_paper, experiment in tqdm.tqdm(networks, "counting", leave=False, disable=None):
        rows.append({**network_facts(experiment), "name": name, "source": source, "is_paper": is_paper})
    return rows, gaps


def summary(found: Found, parts: Sequence[Part], document: Document, out: pathlib.Path) -> str:
    """Returns what was read, the best configurations and where the page is, in lines of 80 columns."""
    finished = sum(run.results is not None for run in found.runs)
    configurations = sum(len(part.rows) for part in parts)
    gaps = sum(isinstance(block, Gap) for block in document.all())
    wrong = problems(found, [part.cohort for part in parts])
    numbers = (
        f"{counted(len(found.runs), 'run')}, {finished} finished, {counted(configurations, 'configuration')}"
    )
    lines = [labelled("read", numbers)]
    lines += [labelled("left out", plain(f"{folder}: {reason}")) for folder, reason in found.left_out]
    lines += [labelled("warning", plain(text)) for text in wrong]
    if gaps:
        lines.append(
            labelled("missing", f"{counted(gaps, 'gap')}, with the commands that fill them on the page")
        )
    if len(parts) > 1:
        lines.append(labelled("best", f"of the first of {counted(len(parts), 'comparison')}:"))
    lines += best_rows(parts[0])
    lines.append(labelled("page", str(out / "report.html")))
    return "\n".join(lines)


def best_rows(part: Part) -> list[str]:
    """Returns the three configurations with the highest test Dice, and bPQ if known: label, score, interval."""
    dice = [(each, *dice_cells(part, each)) for each in part.configurations]
    nuclei = bpq_rows(part)
    return [*_best("best" if not nuclei else "Dice", dice), *_best("bPQ", nuclei)]


def _best(heading: str, rows: Sequence[tuple[Configuration, Spread, Interval | None]]) -> list[str]:
    known = [row for row in rows if row[1].value is not None]
    known.sort(key=lambda row: -(row[1].value or 0.0))
    lines = []
    for place, (configuration, score, limits) in enumerate(known[:_BEST], 1):
        numbers = f"  {shown(score.value)}  {shown(limits or Interval(float('nan'), float('nan')))}"
        room = COLUMNS - 10 - len(numbers)
        name = plain(configuration.label)
        name = (
            name
            if len(name) <= room
            else f"{name[: room // 2 - 1]}...{name[len(name) - (room - room // 2 - 2) :]}"
        )
        lines.append(f"{f'{heading} {place}':<10}{name:<{min(room, 46)}}{numbers}")
    return lines
