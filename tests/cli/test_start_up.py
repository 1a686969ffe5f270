"""What a start costs: every program is compiled once, and a second start takes its step from JAX's cache."""

import collections
import json
import re
import stat

import jax
import pytest

from configs import quickstart
from nucseg_jax.cli.prepare import prepare
from nucseg_jax.cli.train import train
from nucseg_jax.experiment import read_experiment

BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"


def test_two_epochs_compile_every_named_program_once(tmp_path, capsys):
    """Shardings, weak types or committed arrays that change between steps would show as a second one."""
    config = quickstart.get_config()
    config.data.dir = str(tmp_path / "data")
    config.data.synthetic_patches_per_fold = 5
    config.model.width = 0.125
    config.train.tile_px, config.train.batch_size, config.train.epochs = 32, 64, 2
    config.eval.overlays, config.eval.time_inference = 1, False
    # On several devices Orbax cuts arrays into pieces, by programs of its own.
    config.mesh.data = 1
    experiment = read_experiment(config)
    prepare(experiment.data)
    compiled = collections.Counter()

    def count(event, duration, **details):
        del duration
        if event == BACKEND_COMPILE:
            compiled[details["fun_name"]] += 1

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        train(experiment, tmp_path / "run")
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    ours = {f"jit({name})" for name in ("evaluation_step", "close", "penalty", "count_masks")}
    assert {name: compiled.pop(name) for name in ours} == dict.fromkeys(ours, 1)
    assert compiled.pop("jit(train_steps)") == 1
    # What is left are single operations outside of any program, such as the plateau schedule's scalars.
    assert compiled.total() <= 4, compiled


@pytest.mark.long
def test_a_second_start_loads_its_step_and_prints_where_the_time_went(command_line, tmp_path):
    environment = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    origins, results = [], []
    for name in ("first", "second"):
        workdir = tmp_path / name
        status, out, err = command_line.run(
            *("train", *command_line.config, "--config.train.epochs=1", f"--workdir={workdir}"),
            env=environment,
        )
        assert status == 0, err
        # It may go on in the line below.
        line = re.search(r"^start-up .*(?:\n {10}.*)*", out, re.MULTILINE)[0]
        total, *parts = map(float, re.findall(r"\d+\.\d", line))
        assert len(parts) == 6
        assert sum(parts) == pytest.approx(total, abs=0.4)
        start = json.loads((workdir / "timing.json").read_text())["starts"][0]
        for phase in ("imports", "data", "start", "program", "first_step"):
            assert start[phase] > 0
        origins.append((start["program_from"], "compiled" in line, "loaded" in line))
        results.append((workdir / "results.json").read_bytes())
    assert origins == [("compiler", True, False), ("cache", False, True)]
    # Bit by bit what the compiled program gave.
    assert results[0] == results[1]
    # The folder was made for its user alone, and holds programs of JAX's cache and nothing else.
    cache = tmp_path / "cache"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {path.name.rpartition("-")[2] for path in cache.iterdir()} <= {"cache", "atime"}
