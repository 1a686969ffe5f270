"""Patches that a model has seen in training: its own, and those of the runs that it started from.

The seen patches of a run are JSON values: for each data set `{"data_set": name, "data_digest": ..., "train": [[fold,
row], ...], "validation": [...], "images": {"train": [...], "validation": [...]}}`, the images where they are known.

In the same data set patches are identified by their numbers. In one of the same name and other content, such as the
same images with corrected labels, they are identified by the names of their images.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.core.counted import counted
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.prepared import DataPlan
from nucseg_jax.data.split_sides import images_by_side, shortened
from nucseg_jax.run_folder.folder import RunFolder

# Forbidden overlaps and their verbs: a side of the earlier run, and sides of the later one.
_HARMFUL = (("train", "trained on", ("validation", "test")), ("validation", "selected on", ("test",)))


def seen_by_run(folder: RunFolder) -> list[dict[str, Any]]:
    """Returns what a run trained and selected on, and the patches of the runs that it started from.

    Raises:
      UserError: split.json or pretrained.json is damaged or altered.
    """
    splits, record = folder.read_splits()
    lists = splits.as_json()
    own = {
        "data_set": folder.read_info().name,
        "data_digest": record["data_digest"],
        **{side: lists[side] for side, _, _ in _HARMFUL},
        "images": record.get("images", {}),
    }
    return [own, *folder.read_pretrained().get("seen", [])]


def require_unseen(seen: Sequence[Mapping[str, Any]], path: pathlib.Path, plan: DataPlan) -> None:
    """Raises UserError if a run has trained on what a later one validates or tests on, or selected on its test side.

    Args:
      seen: see `seen_by_run`.
      path: the run, for the message.
      plan: of the later run.
    """
    for before in seen:
        for side, verb, later_sides in _HARMFUL:
            for later in later_sides:
                if common := _common(before, side, plan, later):
                    raise UserError(
                        f"{path} was {verb} {common}, which would stand on the {later} side here: scores would be of"
                        " what the model has seen",
                        expected=f"a split whose {later} side the run never saw, such as the run's own",
                        advice="repeat the run's split, start from a run that has not seen them, or add"
                        " --config.data.allow_duplicates=True",
                    )


def first_seen(seen: Sequence[Mapping[str, Any]], path: pathlib.Path, plan: DataPlan, split: str) -> str:
    """Describes the patches of a split that a run, or one that it started from, has seen; '' if it has seen none.

    Args:
      seen: see `seen_by_run`.
      path: the run.
      plan: of the data set that is to be scored.
      split: name of the side.
    """
    for number, before in enumerate(seen):
        by = f"a run that {path} started from" if number else path
        for side, verb, _ in _HARMFUL:
            if common := _common(before, side, plan, split):
                return f"{by} was {verb} {common} of this {split} split"
    return ""


def _common(before: Mapping[str, Any], side: str, plan: DataPlan, later: str) -> str:
    """Describes what of a later side was seen on an earlier one; '' if nothing was."""
    if before["data_digest"] == plan.digest:
        return _common_patches(before[side], plan, later)
    if before["data_set"] == plan.info.name:
        return _common_images(before.get("images", {}).get(side, ()), plan, later)
    return ""


def _common_patches(pairs: Any, plan: DataPlan, later: str) -> str:
    of_side = _pairs(getattr(plan.splits, later).tolist())
    common = _pairs(pairs) & of_side
    return f"{len(common):,} of the {counted(len(of_side), 'patch')}" if common else ""


def _common_images(images: Any, plan: DataPlan, later: str) -> str:
    common = sorted(set(images) & set(images_by_side(plan.dataset.index, plan.splits).get(later, ())))
    return f"{counted(len(common), 'image')} of the same name ({shortened(common)})" if common else ""


def _pairs(lists: Any) -> set[tuple[int, int]]:
    return {(int(fold), int(row)) for fold, row in lists}
