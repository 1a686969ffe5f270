import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from nucseg_jax.cli import profile_measure as command
from nucseg_jax.cli.profile_batch import random_batch
from nucseg_jax.cli.profile_cases import cases_of
from nucseg_jax.cli.profile_modes import ReadyCase, ready_targets
from nucseg_jax.cli.profile_table import comparisons
from nucseg_jax.experiment import read_experiment
from nucseg_jax.heads.table import HEADS
from nucseg_jax.training.step import train_step
from nucseg_jax.training.throughput import Mode

KEYS = {
    *("work", "feed", "batch_size", "px", "dtype", "steps_per_dispatch", "images_per_second"),
    *("images_per_second_p10", "images_per_second_p90", "images_per_second_mean", "share_of_bare_step"),
    *(
        "targets_ms",
        "targets_share_of_step",
        "step_ms",
        "compile_s",
        "program_from",
        "peak_memory_mb",
        "program_memory_mb",
        "flops_per_step",
    ),
    *("flops_per_step_by_analysis", "flops_per_second", "flops_per_second_by_analysis", "bytes_per_second"),
    *("mfu", "bandwidth_share", "error"),
}


# A checkpoint every four steps of a narrow net would be all that is measured.
QUICK = ("--config.train.checkpoint_every_steps=0", "--config.train.batch_size=4", "--seconds=0.5")


def test_json_has_the_feeds_and_all_that_is_measured(command_line):
    status, out, err = command_line.run(
        "profile",
        *command_line.config,
        *QUICK,
        "--feeds=synthetic,host",
        "--json",
    )
    assert status == 0, err
    found = json.loads(out)
    rows = found["rows"]
    assert found["device"]["platform"] == "cpu"
    assert {name: found[name] for name in KEYS} == rows[0]
    assert [(row["work"], row["feed"]) for row in rows] == [
        ("training", "synthetic"),
        ("training", "host"),
        ("evaluation", "synthetic"),
    ]
    for row in rows:
        assert row.keys() == KEYS
        assert row["error"] is None
        assert 0 < row["images_per_second_p10"] <= row["images_per_second"] <= row["images_per_second_p90"]
        assert row["images_per_second"] == pytest.approx(1e3 * row["batch_size"] / row["step_ms"], rel=0.2)
        assert row["peak_memory_mb"] > 50
        assert row["compile_s"] > 0
        assert row["program_memory_mb"] > 0
        assert row["mfu"] is row["bandwidth_share"] is None
        assert (row["share_of_bare_step"] is None) == (row["work"] == "evaluation")
        assert row["targets_ms"] is row["targets_share_of_step"] is None
        # XLA's own count is near the layers' arithmetic: nothing is counted twice or per dispatch.
        assert 0.5 < row["flops_per_step"] / row["flops_per_step_by_analysis"] < 2
        assert row["px"] == (32 if row["work"] == "training" else 256)


@pytest.mark.long
def test_a_sweep_has_a_row_for_every_combination(command_line):
    sweep = ["--batch_sizes=2,4", "--dtypes=bfloat16", "--feeds=synthetic", "--json"]
    status, out, err = command_line.run("profile", *command_line.config, *QUICK, *sweep)
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert [(row["work"], row["batch_size"], row["dtype"]) for row in rows] == [
        (work, batch_size, "bfloat16") for batch_size in (2, 4) for work in ("training", "evaluation")
    ]
    small, large = rows[0], rows[2]
    assert large["flops_per_step"] == pytest.approx(2 * small["flops_per_step"], rel=0.1)
    assert large["program_memory_mb"] > small["program_memory_mb"]


@pytest.mark.long
def test_without_data_the_bare_step_is_measured_and_the_reason_said(command_line, tmp_path):
    status, out, err = command_line.run(
        "profile", *command_line.config, *QUICK, f"--config.data.dir={tmp_path}"
    )
    assert status == 0, err
    assert "synthetic only" in out
    assert "device feed" not in out


def test_without_data_a_feed_is_refused(command_line, tmp_path):
    no_data = [*QUICK, f"--config.data.dir={tmp_path}"]
    status, _, err = command_line.run("profile", *command_line.config, *no_data, "--feeds=device")
    assert status == 2
    assert "prepare" in err


@pytest.mark.long
def test_the_table_compares_with_the_bare_step_and_a_trace_is_left(command_line, tmp_path):
    trace = tmp_path / "trace"
    status, out, err = command_line.run(
        "profile", *command_line.config, *QUICK, "--feeds=synthetic,device", f"--trace={trace}"
    )
    assert status == 0, err
    assert "of the bare step" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith(("training", "evaluation"))] == [
        ["training", "synthetic"],
        ["training", "device"],
        ["evaluation", "synthetic"],
    ]
    assert list(trace.rglob("*.trace.json.gz"))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--feeds=disk", "--feeds has disk"),
        ("--batch_sizes=two", "--batch_sizes is two"),
        ("--dtypes=float16", "train.dtype is 'float16'"),
    ],
)
def test_wrong_flags_are_refused(command_line, flag, message):
    status, _, err = command_line.run("profile", *command_line.config, flag)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.long
def test_a_row_out_of_memory_says_so_and_the_sweep_goes_on(monkeypatch):
    from configs import quickstart

    config = quickstart.get_config()
    config.model.width, config.train.tile_px = 0.125, 32
    cases = cases_of(read_experiment(config), ("synthetic",), (8, 16), ("float32",), patch_px=128)
    training = [case for case in cases if case.work == "training"]
    ready = command.ready

    def ready_if_small(case, plan):
        if case.batch_size > 8:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7 bytes.\nmore")
        return ready(case, plan)

    monkeypatch.setattr(command, "ready", ready_if_small)
    small, large = command.measure(training, None, seconds=0.1, trace=None)
    assert small["error"] is None
    assert small["images_per_second"] > 0
    assert large["error"].startswith("RESOURCE_EXHAUSTED")
    assert large["images_per_second"] is None
    assert small.keys() == large.keys() == KEYS


@pytest.mark.parametrize("head", HEADS)
def test_its_noise_is_a_batch_for_every_instance_head(head):
    """Ids of nuclei where the head needs them, and only there; traced, not compiled."""
    config = quickstart.get_config()
    config.model.width, config.model.head = 0.125, head
    experiment = read_experiment(config)
    static = experiment.static_arguments(steps_per_epoch=1)
    noise = random_batch((4,), 64, with_instances=experiment.scores_instances)
    assert (noise.instance is None) == (head == "none")
    _, logs = jax.eval_shape(functools.partial(train_step, static), experiment.abstract_state(static), noise)
    assert set(static.head.losses) <= logs.keys()


def ready_with_a_sum(case, plan):
    """A tiny program in place of a case's."""
    del plan
    program = jax.jit(lambda values: values.sum()).lower(jnp.ones(8)).compile()

    def advance(dispatches):
        for _ in range(dispatches):
            jax.block_until_ready(program(jnp.ones(8)))

    mode = Mode(advance, images=case.batch_size)
    return ReadyCase(mode, program, 0.1, "compiler", close=lambda: None)


@pytest.mark.parametrize("head", HEADS)
def test_a_training_row_has_what_the_targets_of_its_head_take(monkeypatch, head):
    """In milliseconds a batch and as a share of the step beside them; null without a head and in evaluation."""
    monkeypatch.setattr(command, "ready", ready_with_a_sum)
    config = quickstart.get_config()
    config.model.width, config.model.head, config.train.tile_px = 0.125, head, 64
    sizes, dtypes = (1, 2), ("float32", "bfloat16")
    cases = cases_of(read_experiment(config), ("synthetic",), sizes, dtypes, patch_px=128)
    rows = command.measure(cases, None, seconds=0.04, trace=None)
    for row in rows:
        assert row.keys() == KEYS
        if head == "none" or row["work"] == "evaluation":
            assert row["targets_ms"] is row["targets_share_of_step"] is None
        else:
            assert row["targets_ms"] > 0
            # Of the same order as the ratio of the medians: it is the median of the ratios.
            share = row["targets_ms"] / row["step_ms"]
            assert share / 10 < row["targets_share_of_step"] < 10 * share
    shown = [line for line in comparisons(rows) if line.startswith("instance targets")]
    labels = [f"instance targets, batch {size}, {dtype}: " for dtype in dtypes for size in sizes]
    assert len(shown) == (0 if head == "none" else len(labels))
    for line, label in zip(shown, labels, strict=False):
        assert line.startswith(label)
        assert " ms, " in line
        assert line.endswith("% of a step with the synthetic feed")


@pytest.mark.parametrize("head", [head for head in HEADS if head != "none"])
def test_what_is_timed_makes_the_targets_of_a_training_batch(monkeypatch, head):
    """One program for each dispatch, on tiles, not on whole patches."""
    made = []
    config = quickstart.get_config()
    config.model.width, config.model.head, config.train.tile_px = 0.125, head, 64
    training, _ = cases_of(read_experiment(config), ("synthetic",), (2,), ("float32",), patch_px=128)
    wait = jax.block_until_ready
    monkeypatch.setattr(jax, "block_until_ready", lambda values: made.append(wait(values)))
    mode = ready_targets(training)
    assert mode.images == 2
    instance = random_batch((2,), 64, with_instances=True).instance
    np.testing.assert_allclose(made[0], HEADS[head].target_maps(instance), atol=1e-6)
