"""Sources of drawn patches, whose every array is known."""

import dataclasses

import numpy as np

from nucseg_jax.data.dataset_info import PALETTE, VOID_LABEL, DatasetInfo, NucleusClass
from nucseg_jax.data.sources.patch import OpenedSource, Patch

INFO = DatasetInfo(
    name="ovary",
    classes=(NucleusClass("Tumour", PALETTE[0]), NucleusClass("Other", PALETTE[1])),
    groups=("patient, 1", "patient2"),
    divisions=("train", "test"),
    patch_px=64,
    microns_per_px=0.5,
)


def draw_patch(
    number: int, info: DatasetInfo = INFO, *, per_image: int = 2, with_void: bool = False
) -> Patch:
    """Dark discs on light noise, no two patches alike; every third patch is empty."""
    rng, px = np.random.default_rng(number), info.patch_px
    image = rng.integers(150, 250, (px // 4, px // 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
    instance = np.zeros((px, px), np.uint16)
    y, x = np.mgrid[:px, :px]
    for row in range(0 if number % 3 else 1, 3 if number % 3 else 1):
        disc = (y - px * (row + 0.5) / 3) ** 2 + (x - rng.integers(8, px - 8)) ** 2 < 25
        instance[disc] = row + 1
    kinds = np.array([0, *rng.integers(1, len(info.classes) + 1 if info.classes else 2, 3)], np.uint8)
    label = kinds[instance]
    image[instance > 0] //= 2
    if with_void:
        label[:5], instance[:5] = VOID_LABEL, 0
    image_number = number // per_image
    return Patch(
        image=image.astype(np.uint8),
        label=label,
        instance=instance,
        group=image_number % len(info.groups),
        image_name=f"slide {image_number}.png",
        top=0,
        left=px * (number % per_image),
        division=info.divisions[image_number % 2] if info.divisions else "",
    )


def open_drawn(
    count: int = 8, info: DatasetInfo = INFO, *, origin=None, first: int = 0, **options
) -> OpenedSource:
    """So many patches; with void pixels in one of them where the description has void."""

    def patches():
        for number in range(first, first + count):
            yield draw_patch(number, info, with_void=info.has_void and number == first + 1, **options)

    return OpenedSource(
        info=info,
        origin=origin or {"kind": "drawn", "files": [["a.png", 5, 1]], "patch_px": info.patch_px},
        patch_count=count,
        patches=patches,
        described=(f"{count} drawn patches",),
    )


def with_patches(opened: OpenedSource, change) -> OpenedSource:
    """The same source, each of its patches changed."""
    return dataclasses.replace(
        opened, patches=lambda: (change(number, patch) for number, patch in enumerate(opened.patches()))
    )
