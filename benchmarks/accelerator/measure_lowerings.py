"""Each lowering beside XLA's own operation on the models' shapes, the row that follows, and a whole step with it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.accelerator.ledger import Ledger, OutOfTimeError
from benchmarks.accelerator.page import NOT_MEASURED, done_rows, row_table, rows_of
from benchmarks.accelerator.settings import Settings

# The choice that is not 'reference' where that runs now, by field; `Lowerings` describes each.
CHOICES = {
    "pointwise": "product",
    "atrous": "taps",
    "transpose_kernel_gradient": "convolution",
    "depthwise": "shifted",
    "max_pool": "slices",
}
SHAPES_OF_EACH = 4
STEP = "a whole step, "
# What runs now is left for what takes so much less time, not for noise.
LEAST_GAIN = 1.03


def measure(settings: Settings, ledger: Ledger) -> None:
    """Measures duels until all, or what the time allows, are done; then both rows in a training step of each model."""
    import os

    os.environ["JAX_PLATFORMS"] = "cpu" if settings.device == "cpu" else f"{settings.device},cpu"
    from benchmarks.accelerator.model_shapes import GROUP_PX, duels_of
    from benchmarks.lowerings import measure as measure_duel

    experiments = {name: _experiment(settings, name) for name in settings.models}
    models = [(each.model, 64 if settings.small else 256) for each in experiments.values()]
    duels = duels_of(models, most=1 if settings.small else SHAPES_OF_EACH)
    on_cpu = settings.device == "cpu"
    batch_size = 2 if on_cpu else 8
    for field, count, duel in duels:
        # Winograd's form is for float32 alone; the others are measured as accelerators train.
        dtype = "float32" if on_cpu or field == "winograd_from" else "bfloat16"
        shape = "x".join(map(str, duel.image))
        kernel = "" if duel.kernel is None else f" to {max(duel.kernel[2:])}"

        def measured(duel: Any = duel, field: str = field, count: int = count, dtype: str = dtype) -> Any:
            found = measure_duel(
                duel, batch_size=batch_size, rounds=5, dtype=dtype, block_s=settings.seconds / 40
            )
            return {
                **found,
                "field": field,
                "count": count,
                "dtype": dtype,
                "multiply_adds": 0 if duel.kernel is None else math.prod(duel.image) * duel.kernel[3],
                "times": found["both_reference"] / found["both"],
            }

        ledger.row(f"{field}: {shape}{kernel}, {duel.name}", measured)
        current = dataclasses.asdict(_current(settings.device))
        ledger.note(current=current, proposal=proposal(ledger.result, current, GROUP_PX), shapes=len(duels))
    proposed = ledger.result["proposal"]
    # In small a step is measured though nothing may be proposed: so that this is tried too.
    if proposed == ledger.result["current"] and not settings.small:
        return
    for name, experiment in list(experiments.items())[: 1 if settings.small else None]:
        ledger.row(STEP + name, lambda each=experiment: measure_step(settings, ledger, each, proposed))


def proposal(result: Mapping[str, Any], current: Mapping[str, Any], group_px: int) -> dict[str, Any]:
    """Returns the fastest row of `LOWERINGS` by the duels' times with gradients, each weighed by how often it occurs.

    Args:
      result: of this step, with `field`, `count`, `both`, `both_reference`, `multiply_adds` in its rows.
      current: the row that runs now, for fields without a measurement.
      group_px: what `kernel_gradient_px` was measured with.
    """
    by_field: dict[str, list[Mapping[str, Any]]] = {}
    for row in done_rows(result).values():
        if "field" in row:
            by_field.setdefault(row["field"], []).append(row)
    chosen = dict(current)
    for field, rows in by_field.items():
        ours = CHOICES.get(field) if current[field] == "reference" else current[field]
        choices: list[Any] = ["reference", ours] if field in CHOICES else [None, group_px]
        if field == "winograd_from":
            choices = [None, *sorted({row["multiply_adds"] for row in rows})]
        best = min(choices, key=lambda choice, field=field, rows=rows: seconds_of(field, choice, rows))
        now = seconds_of(field, current[field], rows)
        if now > LEAST_GAIN * seconds_of(field, best, rows):
            chosen[field] = best
    return chosen


def seconds_of(field: str, choice: Any, rows: Sequence[Mapping[str, Any]]) -> float:
    """Returns the time, up to a factor, that the shapes of a field take with gradients under a choice."""

    def is_ours(row: Mapping[str, Any]) -> bool:
        if field == "winograd_from":
            return choice is not None and bool(row["multiply_adds"] >= choice)
        return choice not in (None, "reference")

    return sum(row["count"] * row["both" if is_ours(row) else "both_reference"] for row in rows)


def measure_step(
    settings: Settings, ledger: Ledger, experiment: Any, proposed: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns images a second of a training step with the row that runs now and with the proposed one, interleaved."""
    import jax

    from nucseg_jax.cli.profile_cases import Case
    from nucseg_jax.cli.profile_modes import ready
    from nucseg_jax.ops.lowering import LOWERINGS, Lowerings
    from nucseg_jax.training.throughput import Rate, measure_in_turns, share_of

    if ledger.seconds_left <= 0:
        raise OutOfTimeError
    px = experiment.config.train.tile_px
    before = LOWERINGS.get(settings.device)
    modes = []
    try:
        for row in (_current(settings.device), Lowerings(**proposed)):
            LOWERINGS[settings.device] = row
            # Traces of operations that are jitted themselves would hold the row before.
            jax.clear_caches()
            modes.append(ready(Case("training", "synthetic", experiment, px), None).mode)
    finally:
        if before is None:
            del LOWERINGS[settings.device]
        else:
            LOWERINGS[settings.device] = before
    now, then = measure_in_turns(modes, blocks=10, block_s=settings.seconds / 10)
    assert isinstance(now, Rate)
    assert isinstance(then, Rate)
    return {"images_now": now.median, "images_proposed": then.median, "times": share_of(then, now)}


def _current(device: str) -> Any:
    from nucseg_jax.ops.lowering import ACCELERATOR, LOWERINGS

    return LOWERINGS.get(device, ACCELERATOR)


def _experiment(settings: Settings, name: str) -> Any:
    import importlib

    from nucseg_jax.experiment import read_experiment

    config = importlib.import_module(f"configs.{name}").get_config()
    config.mesh.data = 1
    config.train.batch_size = 2 if settings.device == "cpu" else 8
    config.train.dtype = "float32" if settings.device == "cpu" else "bfloat16"
    if settings.small:
        config.model.width = 0.125
        config.model.encoder_depths = (1,) * (3 if name.endswith("resnet50") else 5)
        config.train.tile_px = 64
    return read_experiment(config)


def answer(result: Mapping[str, Any]) -> str:
    """Returns one line: the row that was fastest, and whether whole steps agree."""
    proposed, current = result.get("proposal"), result.get("current")
    if not proposed:
        return f"{NOT_MEASURED}."
    measured = len([row for row in done_rows(result).values() if "field" in row])
    part = (
        f" ({measured} of {result.get('shapes')} shapes so far)" if measured != result.get("shapes") else ""
    )
    if proposed == current:
        return f"Those that run now{part}."
    changes = ", ".join(f"{name}={value!r}" for name, value in proposed.items() if value != current.get(name))
    steps = [row["times"] for name, row in done_rows(result).items() if name.startswith(STEP)]
    whole = f"; whole steps {min(steps):.2f} to {max(steps):.2f} times as fast" if steps else ""
    return f"Proposed: {changes}{whole}{part}."


def lines(result: Mapping[str, Any]) -> list[str]:
    """Returns the duels, the proposed row as code, and the steps with either row."""
    duels = {name: row for name, row in rows_of(result).items() if not name.startswith(STEP)}
    steps = {name: row for name, row in rows_of(result).items() if name.startswith(STEP)}
    columns = [
        ("XLA, ms", "forward_reference", ".3g"),
        ("ours, ms", "forward", ".3g"),
        ("XLA, with gradients", "both_reference", ".3g"),
        ("ours, with gradients", "both", ".3g"),
        ("times as fast", "times", ".2f"),
        ("in the models", "count", ""),
        ("dtype", "dtype", ""),
    ]
    shown = row_table({"rows": duels}, "lowering, image, kernel", columns)
    if isinstance(proposed := result.get("proposal"), Mapping):
        fields = [f"    {name}={value!r}," for name, value in proposed.items()]
        shown += ["", "The fastest row, for `LOWERINGS` in `nucseg_jax/ops/lowering.py`:", ""]
        shown += ["```python", "Lowerings(", *fields, ")", "```"]
    if steps:
        columns = [
            ("row now, images/s", "images_now", ",.4g"),
            ("proposed, images/s", "images_proposed", ",.4g"),
            ("times as fast", "times", ".2f"),
        ]
        shown += ["", *row_table({"rows": steps}, "training step", columns, prefix=STEP)]
    return shown
