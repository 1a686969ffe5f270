"""The argument of every section: the runs of one comparison."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nucseg_jax.reporting.reading.configuration import Cohort, Configuration
from nucseg_jax.reporting.sections.comparison import SPLIT, Compared
from nucseg_jax.reporting.sections.nuclei_intervals import ComparedNuclei


@dataclasses.dataclass(frozen=True)
class Part:
    """A cohort and its place in the report.

    Attributes:
      cohort: runs on the same patches.
      rows: its configurations in the order of the page.
      compared: their intervals and differences; None without counts.
      nuclei: those of bPQ; None without counts of nuclei.
      prefix: of the names of its files; '' where the report has one cohort.
      is_paper: whether the paper's tables belong here, and gaps are told.
      paper_configs: {name of a model of the paper: what its config file holds}.
    """

    cohort: Cohort
    rows: tuple[Configuration, ...]
    compared: Compared | None
    nuclei: ComparedNuclei | None = None
    prefix: str = ""
    is_paper: bool = False
    paper_configs: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """The configurations with a finished run."""
        return tuple(each for each in self.rows if each.finished)

    def file(self, stem: str) -> str:
        """Returns the name of a table or figure, without ending."""
        return f"{self.prefix}{stem}"

    def baselines(self) -> dict[str, object]:
        """Returns the scores of what needs no learning, as `evaluate --baselines` left them; the first of each."""
        found: dict[str, object] = {}
        for evaluation in (each for run in self.cohort.runs for each in run.evaluations):
            if evaluation.split == SPLIT:
                found = {**evaluation.baselines, **found}
        return found
