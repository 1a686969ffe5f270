"""The cases of `profile`: the bare step, the training loop with a feed, the evaluation step."""

import dataclasses
from typing import Literal

from nucseg_jax.experiment import Experiment, read_experiment

Feed = Literal["synthetic", "device", "host"]
FEEDS: tuple[Feed, ...] = ("synthetic", "device", "host")


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the profile.

    Attributes:
      work: training or evaluation.
      feed: synthetic = one batch that stays on the device; device, host = the training loop.
      experiment: with the row's batch size and dtype in its settings.
      patch_px: side of a full patch.
      has_void: whether labels have pixels that nobody annotated: their programs differ.
    """

    work: Literal["training", "evaluation"]
    feed: Feed
    experiment: Experiment
    patch_px: int
    has_void: bool = False

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        return self.experiment.config.train.batch_size

    @property
    def dtype(self) -> str:
        """The dtype of computation."""
        return self.experiment.config.train.dtype

    @property
    def px(self) -> int:
        """Side of an example."""
        return self.experiment.config.train.tile_px if self.work == "training" else self.patch_px


def cases_of(
    experiment: Experiment,
    feeds: tuple[Feed, ...],
    batch_sizes: tuple[int, ...],
    dtypes: tuple[str, ...],
    *,
    patch_px: int,
    has_void: bool = False,
) -> list[Case]:
    """Returns the cases of every feed and of the evaluation step, for every batch size and dtype.

    Args:
      experiment: what to measure.
      feeds, batch_sizes, dtypes: each is combined with each.
      patch_px, has_void: of the data set.

    Raises:
      UserError: a batch size or a dtype that a config would not take either.
    """
    cases = []
    for dtype in dtypes:
        for batch_size in batch_sizes:
            config = experiment.config.as_json()
            config["train"] |= {"batch_size": batch_size, "dtype": dtype}
            config["eval"]["batch_size"] = batch_size
            variant = read_experiment(config)
            variant.make_mesh(patch_px)
            cases += [Case("training", feed, variant, patch_px, has_void) for feed in feeds]
            cases.append(Case("evaluation", "synthetic", variant, patch_px, has_void))
    return cases
