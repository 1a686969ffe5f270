"""A run with one of its robustness measurements, which is a row of every table of them."""

from typing import NamedTuple

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.robustness.measurement import Measurement
from nucseg_jax.reporting.page.document import Cell
from nucseg_jax.reporting.reading.configuration import Configuration
from nucseg_jax.reporting.reading.run import Run, at
from nucseg_jax.reporting.sections.cells import SPLIT_WORDS

_DIGEST = 8


class MeasuredRun(NamedTuple):
    """A measurement and the run that it is of."""

    configuration: Configuration
    run: Run
    measurement: Measurement

    @property
    def about(self) -> tuple[Cell, ...]:
        """Cells that begin its row: configuration, seed, and what it was measured on."""
        return (self.configuration.label, str(self.run.seed), self.patches)

    @property
    def patches(self) -> str:
        """Split, data set, number of its patches, views, and settings that are not the run's own, in words."""
        about = self.measurement.about
        split = SPLIT_WORDS.get(about["split"], about["split"])
        own = about["data_digest"] == self.run.data_digest
        data = "" if own else f" of {about['data_name']} {str(about['data_digest'])[:_DIGEST]}"
        views = f", mean of {about['views']} views" if about["views"] > 1 else ""
        own_settings = at(self.run.config, "eval") or {}
        changes = [
            f", {name}={value}"
            for name, value in about["eval"].items()
            if name in own_settings and value != own_settings[name]
        ]
        return f"{split}{data}, {counted(about['images'], 'patch')}{views}{''.join(changes)}"

    @property
    def key(self) -> tuple[str, str]:
        """Equal for measurements on the same patches."""
        return self.measurement.about["data_digest"], self.measurement.about["patches_digest"]
