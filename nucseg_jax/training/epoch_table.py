"""The table that a person reads while a model trains: a header, then one line of at most 80 columns an epoch."""

from collections.abc import Mapping

from nucseg_jax.core.results import Entry

# The key of validation's entry with each batch's own statistics.
BATCH_STATISTICS = "batch_statistics"
_WIDTH = 8
_TIME_WIDTH = 10


def epoch_header(epochs: int, *, has_batch_statistics: bool) -> str:
    """Returns the two header lines.

    Args:
      epochs: of the whole run.
      has_batch_statistics: whether the lines have the Dice of validation with each batch's own statistics.

    >>> print(epoch_header(12, has_batch_statistics=False))
            train           validation
    epoch   loss    Dice    loss    Dice    time
    """
    epoch = " " * _epoch_width(epochs)
    groups = ["train", "", "validation", *["", "by batch"][: 1 + has_batch_statistics]]
    columns = ["loss", "Dice", "loss", "Dice", *["Dice"][: int(has_batch_statistics)], "time"]
    lines = (
        epoch + "".join(f"{group:<{_WIDTH}}" for group in groups),
        f"{'epoch':<{len(epoch)}}" + "".join(f"{column:<{_WIDTH}}" for column in columns),
    )
    return "\n".join(line.rstrip() for line in lines)


def epoch_line(
    epoch: int,
    epochs: int,
    values: Mapping[str, Entry],
    *,
    seconds: float,
    learning_rate: float | None = None,
    is_best: bool = False,
) -> str:
    """Returns an epoch's line.

    Args:
      epoch: number of the epoch, from 1.
      epochs: of the whole run.
      values: entries 'train' and 'validation', each like those of results.json.
      seconds: that the epoch took, validation included.
      learning_rate: shown unless it is None.
      is_best: whether no earlier epoch had a higher Dice of validation.

    >>> entry = {"loss": 0.5, "micro": {"dice": 0.75}}
    >>> epoch_line(3, 12, {"train": entry, "validation": entry}, seconds=84, is_best=True)
    ' 3/12   0.5000  0.7500  0.5000  0.7500  1:24      best'
    """
    train, validation = values["train"], values["validation"]
    cells = [train["loss"], train["micro"]["dice"], validation["loss"], validation["micro"]["dice"]]
    if BATCH_STATISTICS in validation:
        cells.append(validation[BATCH_STATISTICS]["micro"]["dice"])
    number = f"{epoch:>{len(str(epochs))}}/{epochs}"
    shown = [f"{number:<{_epoch_width(epochs)}}", *(f"{_decimal(cell):<{_WIDTH}}" for cell in cells)]
    notes = ["best"] if is_best else []
    if learning_rate is not None:
        notes.append(f"lr {learning_rate:.3g}")
    return f"{''.join(shown)}{_clock(seconds):<{_TIME_WIDTH}}{', '.join(notes)}".rstrip()


def _epoch_width(epochs: int) -> int:
    return max(len("epoch"), len(f"{epochs}/{epochs}")) + 3


def _decimal(value: float | None) -> str:
    """Returns four decimals, or as many digits as a column holds; '-' without a value."""
    if value is None:
        return "-"
    return next(text for text in (f"{value:.4f}", f"{value:.1e}", f"{value:.0e}") if len(text) < _WIDTH)


def _clock(seconds: float) -> str:
    """Returns minutes:seconds, or hours:minutes:seconds.

    >>> [_clock(seconds) for seconds in (9.6, 84, 3661)]
    ['0:10', '1:24', '1:01:01']
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
