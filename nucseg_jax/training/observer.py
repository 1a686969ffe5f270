"""Records of a training run: the progress bar and lines a person reads, metrics.jsonl, TensorBoard."""

import time
from collections.abc import Mapping

import numpy as np

from nucseg_jax.core.results import Entry
from nucseg_jax.ops.objective import WITH_NUCLEI
from nucseg_jax.run_folder.folder import RunFolder
from nucseg_jax.run_folder.metrics_log import MetricsLog, SummaryWriter
from nucseg_jax.training.epoch_table import BATCH_STATISTICS, epoch_header, epoch_line
from nucseg_jax.training.progress import Progress
from nucseg_jax.training.schedule import Schedule


class RunObserver:
    """Writes one run's records from step `done_steps` on; records beyond it, of a killed run, are removed."""

    def __init__(
        self,
        folder: RunFolder,
        schedule: Schedule,
        *,
        done_steps: int,
        batch_size: int,
        learning_rate: float,
        silent: bool = False,
    ):
        """Opens the records.

        Args:
          folder: of the run.
          schedule: how long the run is.
          done_steps: that earlier starts did.
          batch_size: examples a step.
          learning_rate: that a reader takes for granted; epochs with another one show it.
          silent: print nothing.
        """
        self._schedule = schedule
        self._shown_rate = learning_rate
        self._is_header_shown = False
        self._epoch_began_s = time.monotonic()
        self._log = MetricsLog(folder.metrics)
        self._log.truncate_after(done_steps)
        # Event files of a start that was killed are there even where no checkpoint is.
        restarted = folder.tensorboard.is_dir() and any(folder.tensorboard.iterdir())
        self._summaries = SummaryWriter(
            folder.tensorboard, resume_after_step=done_steps if restarted else None
        )
        self._progress = Progress(
            total_steps=schedule.total_steps, done_steps=done_steps, batch_size=batch_size, silent=silent
        )

    def on_start(self, config: Mapping[str, object]) -> None:
        """Records the config of a new run."""
        self._summaries.write_hparams(config)

    def on_wait(self, text: str) -> None:
        """Prints what the run waits for, such as a compilation."""
        self._progress.line(text)

    def on_started(self, account: str, steps: int) -> None:
        """Prints where the time before the first `steps` steps went, which are done by now."""
        self._progress.line(account)
        self._progress.started(steps)
        self._epoch_began_s = time.monotonic()

    def on_step(self, step: int) -> None:
        """Moves the bar."""
        self._progress.stepped(step)

    def on_pause(self) -> None:
        """Leaves the time since the last step out of the rate."""
        self._progress.paused()

    def on_logs(self, step: int, logs: dict[str, float]) -> None:
        """Records one step's loss terms."""
        rate = self._progress.logged(step, logs["loss"])
        epoch = (step - 1) // self._schedule.steps_per_epoch + 1
        self._log.write(kind="train", step=step, epoch=epoch, values={**logs, "images_per_second": rate})
        self._summaries.write_scalars(step, {f"train/{name}": value for name, value in logs.items()})

    def on_epoch(
        self, step: int, values: Mapping[str, Entry], *, learning_rate: float, is_best: bool
    ) -> None:
        """Records one epoch: `values` has 'train' and 'validation', each an entry like those of results.json."""
        epoch = step // self._schedule.steps_per_epoch
        self._log.write(
            kind="epoch", step=step, epoch=epoch, values={**values, "learning_rate": learning_rate}
        )
        scalars = {"learning_rate": learning_rate}
        entries = dict(values)
        if BATCH_STATISTICS in values["validation"]:
            entries["validation_batch_statistics"] = values["validation"][BATCH_STATISTICS]
        for name, entry in entries.items():
            losses = {term: value for term, value in entry.items() if term.endswith(("loss", WITH_NUCLEI))}
            scalars |= {f"{name}_epoch/{term}": value for term, value in losses.items()}
            scalars |= {f"{name}_epoch/{metric}": value for metric, value in entry["micro"].items()}
        self._summaries.write_scalars(step, scalars)
        self._show_epoch(epoch, values, learning_rate, is_best)

    def _show_epoch(
        self, epoch: int, values: Mapping[str, Entry], learning_rate: float, is_best: bool
    ) -> None:
        epochs = self._schedule.epochs
        if not self._is_header_shown:
            has_statistics = BATCH_STATISTICS in values["validation"]
            self._progress.line("\n" + epoch_header(epochs, has_batch_statistics=has_statistics))
            self._is_header_shown = True
        now = time.monotonic()
        line = epoch_line(
            epoch,
            epochs,
            values,
            seconds=now - self._epoch_began_s,
            learning_rate=None if learning_rate == self._shown_rate else learning_rate,
            is_best=is_best,
        )
        self._shown_rate, self._epoch_began_s = learning_rate, now
        self._progress.line(line)

    def on_pictures(self, step: int, sheet: np.ndarray) -> None:
        """Shows a sheet of predictions, uint8 [H, W, 3], in TensorBoard."""
        self._summaries.write_images(step, {"validation_predictions": sheet[None]})

    def close(self) -> None:
        """Flushes everything."""
        self._progress.close()
        self._summaries.close()
        self._log.close()
