"""What every section of a comparison is given."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nucseg_jax.reporting.reading.configuration import SCRATCH, Cohort, weights_name
from nucseg_jax.reporting.reading.paper import DATA_SET, PAPER_MODELS, PaperModel


@dataclasses.dataclass(frozen=True)
class Part:
    """A cohort and its place in the report.

    Attributes:
      cohort: runs on the same patches.
      prefix: of the names of its files; '' where the report has one cohort.
      paper_configs: {name of a model of the paper: what its config file holds}.
    """

    cohort: Cohort
    prefix: str
    paper_configs: Mapping[str, Mapping[str, Any]]

    @property
    def papers(self) -> tuple[PaperModel, ...]:
        """The paper's models, in the order of Table 1; none on other data than the paper's."""
        return PAPER_MODELS if self.cohort.info.name == DATA_SET else ()

    @property
    def not_run(self) -> tuple[PaperModel, ...]:
        """The paper's models that no finished run of the cohort has."""
        present = {configuration.paper for configuration in self.cohort.scored}
        return tuple(paper for paper in self.papers if paper not in present)

    @property
    def from_scratch_alone(self) -> tuple[PaperModel, ...]:
        """The paper's models that have finished runs here, none of them from pretrained weights, as the paper's are."""
        weights: dict[PaperModel | None, set[str]] = {}
        for configuration in self.cohort.scored:
            weights.setdefault(configuration.paper, set()).update(map(weights_name, configuration.runs))
        return tuple(paper for paper in self.papers if weights.get(paper) == {SCRATCH})

    def file(self, stem: str) -> str:
        """The name of a table or figure, without ending."""
        return f"{self.prefix}{stem}"
