"""One line about a model's scores on a split: its Dice, and what needs no learning beside it."""

from collections.abc import Mapping
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.evaluation.scores import BASELINE_TITLES


def headline(split: str, entry: Mapping[str, Any], baselines: Mapping[str, Any], *, patches: int) -> str:
    """Returns the line.

    Args:
      split: name of the split.
      entry: of results.json: {convention: {metric: value or None}, ...}.
      baselines: {name: {split: {convention: {metric: value or None}}}}; may be empty.
      patches: number of patches in the split.

    >>> entry = {"micro": {"dice": 0.8878}}
    >>> otsu = {"otsu_hematoxylin": {"test": {"micro": {"dice": 0.6312}}}}
    >>> headline("test", entry, otsu, patches=40)
    "test Dice 0.8878 (micro, 40 patches); Otsu's threshold: 0.6312"
    """
    line = f"{split} Dice {_decimal(entry['micro']['dice'])} (micro, {counted(patches, 'patch')})"
    others = [
        f"{BASELINE_TITLES.get(name, name)}: {_decimal(of_split[split]['micro']['dice'])}"
        for name, of_split in baselines.items()
        if split in of_split
    ]
    return "; ".join([line, *others])


def _decimal(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
