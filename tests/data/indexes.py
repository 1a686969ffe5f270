"""Indexes of data sets that were never stored, for tests of how they are divided."""

import numpy as np

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex

PART = 7  # Patches of a stored part: patients lie across parts.


def make_index(images, *, divisions=None, has_groups=True):
    """Index and description of a data set.

    Args:
      images: {name of the image: (group, number of patches)}.
      divisions: {name of the image: division}.
      has_groups: whether groups and images are kept.
    """
    groups = sorted(
        {group for group, _ in images.values()}, reverse=True
    )  # Positions are not the order of names.
    rows = [
        (groups.index(group), image, place)
        for image, (group, count) in images.items()
        for place in range(count)
    ]
    number = np.arange(len(rows))
    division = tuple((divisions or {}).get(image, "") for _, image, _ in rows)
    index = PatchIndex(
        fold=(1 + number // PART).astype(np.int32),
        row=(number % PART).astype(np.int32),
        group=np.array([group for group, _, _ in rows], np.int32) if has_groups else None,
        image=tuple(image if has_groups else "" for _, image, _ in rows),
        top=np.array([place * 64 for _, _, place in rows], np.int32),
        left=np.zeros(len(rows), np.int32),
        division=division,
    )
    info = DatasetInfo(
        "ovary",
        groups=tuple(groups),
        group_noun="patient",
        divisions=tuple(sorted({*division} - {""})),
    )
    return index, info


def patients(count=8, *, seed=0):
    """{image: (group, patches)} of patients with one to three images of unequal size."""
    rng = np.random.default_rng(seed)
    return {
        f"p{patient}_{image}.png": (f"p{patient}", int(rng.integers(1, 9)))
        for patient in range(count)
        for image in range(int(rng.integers(1, 4)))
    }
