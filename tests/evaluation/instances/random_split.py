"""A small split of random images in five groups, counted once."""

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.instances.image_counts import ImageCounts, count_image
from nucseg_jax.evaluation.instances.instance_counts import InstanceCounts
from tests.evaluation.instances.random_maps import Image, random_image

N = 24
GROUPS = [number * 7 % 5 for number in range(N)]
IMAGES = [random_image(seed, nuclei=5) for seed in range(N)]


def count(image: Image, num_classes: int = 5) -> ImageCounts:
    return count_image(*image, num_classes=num_classes, microns_per_px=1.0)


COUNTED = [count(image) for image in IMAGES]


def counts_of(images: list, groups: list[int] | None = None) -> InstanceCounts:
    return InstanceCounts.of_images(images, index=range(len(images)), group=groups or [0] * len(images))


def scores(counts: InstanceCounts, info: DatasetInfo = PANNUKE) -> dict:
    return counts.scores(info)["instances"]
