"""The steps, in the order of their value."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
      name: for `--only` and the record.
      title: heading of its part of the page.
      module: has `measure(settings, ledger)`, which its process runs, and `lines(result)`, its part of the page in
        Markdown; light to import.
      share: of the time that is left, in units of the other steps' shares; what a step leaves goes to the next ones.
      is_required: without it the others have nothing to run on.
    """

    name: str
    title: str
    module: str
    share: float
    is_required: bool = False


def _step(name: str, title: str, share: float, *, is_required: bool = False) -> Step:
    return Step(name, title, f"benchmarks.accelerator.measure_{name}", share, is_required)


STEPS = (
    _step("machine", "The machine", 1, is_required=True),
    _step("tests", "Does everything work?", 7),
    _step("repeat", "The same to the last bit?", 3),
    _step("rates", "Training and evaluation", 7),
    _step("torch", "Beside PyTorch", 5),
    _step("lowerings", "Which lowerings", 3),
    _step("flags", "XLA flags", 4),
    _step("feeds", "Dispatches, feeds and start-up", 3),
    _step("predict", "Predict, end to end", 2),
    _step("run", "A whole run", 2),
    _step("trace", "The dearest kernels", 1),
)
