"""`profile`: the speed of a config's training and evaluation here, as rates and as shares of the peak."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from jax.sharding import Mesh

from nucseg_jax.cli.profile_cases import FEEDS, Feed, cases_of
from nucseg_jax.cli.profile_measure import measure
from nucseg_jax.cli.profile_table import NOTES, comparisons, speed_table
from nucseg_jax.core.errors import UserError, reason_of
from nucseg_jax.data.patch_sizes import check_patches
from nucseg_jax.data.prepared import DataPlan, plan_data
from nucseg_jax.experiment import Experiment
from nucseg_jax.models.initial import TABLE_1_PX
from nucseg_jax.runtime.device_facts import device_facts
from nucseg_jax.training.schedule import make_schedule


def profile(
    experiment: Experiment,
    *,
    feeds: Sequence[str],
    batch_sizes: Sequence[int],
    dtypes: Sequence[str],
    seconds: float,
    as_json: bool,
    trace: pathlib.Path | None,
) -> None:
    """Measures the cases of a config and prints a table of them.

    Args:
      experiment: what to measure.
      feeds: of 'synthetic', 'device', 'host'; () = all that the data allow.
      batch_sizes, dtypes: each is combined with each; () = the config's.
      seconds: to measure each row, compilation and warm-up not counted.
      as_json: print JSON in place of a table.
      trace: where a trace for TensorBoard or Perfetto goes; None = none.

    Raises:
      UserError: a feed, batch size or dtype that is none, or a feed whose data are not prepared.
    """
    chosen = _feeds(feeds)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UserError(f"--seconds is {seconds}", expected="a positive number of seconds a row")
    settings = experiment.config.train
    sizes = tuple(batch_sizes) or (settings.batch_size,)
    plan, missing = _plan(experiment, sizes)
    if missing and any(feed != "synthetic" for feed in chosen):
        raise missing
    # Without a data set, at the size that Table 1 counts for.
    patch_px = plan.info.patch_px if plan else TABLE_1_PX
    cases = cases_of(
        experiment,
        ("synthetic",) if missing else chosen or FEEDS,
        sizes,
        tuple(dtypes) or (settings.dtype,),
        patch_px=patch_px,
        has_void=plan is not None and plan.info.has_void,
    )
    note = reason_of(missing) if missing and not chosen else None
    rows = measure(cases, plan, seconds=seconds, trace=trace)
    device = _device(experiment.make_mesh(patch_px))
    if as_json:
        print(
            json.dumps({**rows[0], "device": device, "note": note, "rows": rows}, indent=2, allow_nan=False)
        )
        return
    model = experiment.config.model
    head = experiment.head
    with_head = f", instance head {head.title}" if head.maps else ""
    print(f"model    {model.decoder} on {model.encoder}, width {model.width:g}{with_head}")
    print(f"device   {device['count']} x {device['kind']}")
    if note:
        print(f"feeds    synthetic only: {note}")
    print()
    print(speed_table(rows))
    print()
    for line in comparisons(rows):
        print(line)
    if trace is not None:
        print(f"trace: tensorboard --logdir {trace}, or open its .trace.json.gz in https://ui.perfetto.dev")
    print("\n".join(NOTES))


def _feeds(feeds: Sequence[str]) -> tuple[Feed, ...]:
    unknown = [feed for feed in feeds if feed not in FEEDS]
    if unknown:
        raise UserError(f"--feeds has {', '.join(unknown)}", expected=f"some of {','.join(FEEDS)}")
    return tuple(feed for feed in FEEDS if feed in feeds)


def _plan(experiment: Experiment, batch_sizes: Sequence[int]) -> tuple[DataPlan | None, UserError | None]:
    """Returns the prepared data, None where there are none to use, and why no feed can train on them."""
    plan = None
    try:
        found = plan_data(
            experiment.config.data.prepared_folder,
            experiment.splits,
            num_classes=experiment.config.model.num_classes,
            used=["train"],
            allow_duplicates=True,
            with_instances=experiment.scores_instances,
        )
        check_patches(experiment.config, found.info)
        plan = found
        for batch_size in batch_sizes:
            # Whether the patches fill a batch.
            make_schedule(
                len(plan.splits.train),
                epochs=1,
                patch_px=plan.info.patch_px,
                tile_px=experiment.config.train.tile_px,
                batch_size=batch_size,
                log_every_steps=1,
                checkpoint_every_steps=0,
            )
    except UserError as error:
        return plan, error
    return plan, None


def _device(mesh: Mesh) -> dict[str, Any]:
    devices = list(mesh.devices.flat)
    facts = device_facts(devices[0].device_kind)
    return {
        "kind": devices[0].device_kind,
        "platform": devices[0].platform,
        "count": len(devices),
        "known": None if facts is None else dataclasses.asdict(facts),
    }
