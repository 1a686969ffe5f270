"""Where a training run's numbers go: the bar and lines a person reads, metrics.jsonl, TensorBoard."""

from typing import Any

import numpy as np

from nucseg_jax.training.objective import WITH_NUCLEI
from nucseg_jax.training.progress import Progress
from nucseg_jax.training.record import MetricsLog, SummaryWriter
from nucseg_jax.training.run_folder import RunFolder
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
        silent: bool = False,
    ):
        self._schedule = schedule
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

    def on_start(self, config: dict[str, Any]) -> None:
        """Records what a new run is."""
        self._summaries.write_hparams(config)

    def on_started(self, account: str, steps: int) -> None:
        """Prints where the time before the first steps went, which are done by now."""
        self._progress.line(account)
        self._progress.started(steps)

    def on_step(self, step: int) -> None:
        """Moves the bar."""
        self._progress.stepped(step)

    def on_pause(self) -> None:
        """Says that something else than steps took time."""
        self._progress.paused()

    def on_logs(self, step: int, logs: dict[str, float]) -> None:
        """Records one step's loss terms."""
        rate = self._progress.logged(step, logs["loss"])
        epoch = (step - 1) // self._schedule.steps_per_epoch + 1
        self._log.write(kind="train", step=step, epoch=epoch, values={**logs, "images_per_second": rate})
        self._summaries.write_scalars(step, {f"train/{name}": value for name, value in logs.items()})

    def on_epoch(self, step: int, values: dict[str, Any], *, learning_rate: float, is_best: bool) -> None:
        """Records one epoch: `values` has 'train' and 'validation', each an entry like those of results.json."""
        epoch = step // self._schedule.steps_per_epoch
        self._log.write(
            kind="epoch", step=step, epoch=epoch, values={**values, "learning_rate": learning_rate}
        )
        scalars = {"learning_rate": learning_rate}
        entries = dict(values)
        if "batch_statistics" in values["validation"]:
            entries["validation_batch_statistics"] = values["validation"]["batch_statistics"]
        for name, entry in entries.items():
            losses = {term: value for term, value in entry.items() if term.endswith(("loss", WITH_NUCLEI))}
            scalars |= {f"{name}_epoch/{term}": value for term, value in losses.items()}
            scalars |= {f"{name}_epoch/{metric}": value for metric, value in entry["micro"].items()}
        self._summaries.write_scalars(step, scalars)
        self._progress.line(epoch_line(epoch, self._schedule.epochs, values, learning_rate, is_best))

    def on_pictures(self, step: int, sheet: np.ndarray) -> None:
        """Shows a sheet of predictions, uint8 [H, W, 3], in TensorBoard."""
        self._summaries.write_images(step, {"validation_predictions": sheet[None]})

    def close(self) -> None:
        """Flushes everything."""
        self._progress.close()
        self._summaries.close()
        self._log.close()


def epoch_line(epoch: int, epochs: int, values: dict[str, Any], learning_rate: float, is_best: bool) -> str:
    """One epoch for a person: 'epoch 3/12 | train loss .2113 Dice .7902 | validation loss ... | best so far'.

    Behind a loss stands in brackets its Dice loss over tiles with nuclei, the one that falls to 0.
    """

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    def loss(entry: dict[str, Any]) -> str:
        bare = entry.get(f"dice_loss{WITH_NUCLEI}")
        return shown(entry["loss"]) + ("" if bare is None else f" (Dice loss {shown(bare)} with nuclei)")

    train, validation = values["train"], values["validation"]
    parts = [
        f"epoch {epoch:>{len(str(epochs))}}/{epochs}",
        f"train loss {loss(train)} Dice {shown(train['micro']['dice'])}",
        f"validation loss {loss(validation)} Dice {shown(validation['micro']['dice'])}"
        f" IoU {shown(validation['micro']['iou'])}",
        f"learning rate {learning_rate:.3g}",
    ]
    if "batch_statistics" in validation:
        dice = validation["batch_statistics"]["micro"]["dice"]
        parts.insert(3, f"with batch statistics Dice {shown(dice)}")
    if is_best:
        parts.append("best so far")
    return " | ".join(parts)
