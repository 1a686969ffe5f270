"""What every section of a comparison is given."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nucseg_jax.reporting.reading.configuration import SCRATCH, Cohort, Configuration, weights_name
from nucseg_jax.reporting.reading.paper import PAPER_MODELS, PaperModel
from nucseg_jax.reporting.sections.comparison import Compared


@dataclasses.dataclass(frozen=True)
class Part:
    """A cohort and its place in the report.

    Attributes:
      cohort: runs on the same patches.
      rows: its configurations in the order of the page.
      compared: their intervals and differences; None without counts.
      prefix: of the names of its files; '' where the report has one cohort.
      is_paper: whether the paper's tables belong here, and gaps are told.
      paper_configs: {name of a model of the paper: what its config file holds}.
    """

    cohort: Cohort
    rows: tuple[Configuration, ...]
    compared: Compared | None
    prefix: str = ""
    is_paper: bool = False
    paper_configs: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """The configurations with a finished run."""
        return tuple(each for each in self.rows if each.finished)

    @property
    def not_run(self) -> tuple[PaperModel, ...]:
        """The paper's models that no finished run of the cohort has."""
        present = {configuration.paper for configuration in self.configurations}
        return tuple(paper for paper in PAPER_MODELS if paper not in present)

    @property
    def from_scratch_alone(self) -> tuple[PaperModel, ...]:
        """The paper's models that have finished runs here, none of them from pretrained weights, as the paper's are."""
        weights: dict[PaperModel | None, set[str]] = {}
        for configuration in self.configurations:
            weights.setdefault(configuration.paper, set()).update(map(weights_name, configuration.runs))
        return tuple(paper for paper in PAPER_MODELS if weights.get(paper) == {SCRATCH})

    def file(self, stem: str) -> str:
        """Returns the name of a table or figure, without ending."""
        return f"{self.prefix}{stem}"
