"""The benchmark's turns and tables, with contenders that compute nothing; PyTorch is not needed."""

import argparse
import json
import sys

import pytest

from benchmarks import versus_torch
from benchmarks.versus.case import OURS, Case, pixels
from benchmarks.versus.process import Worker, WorkerError
from benchmarks.versus.table import header, ratio, row

# Speaks the worker's protocol; the contender's name says how it fares.
FAKE = """
import json, os, pathlib, sys, time
case = {}
for line in sys.stdin:
    request = json.loads(line)
    case = request.get("case", case)
    name = case["contender"]
    if request["do"] == "start":
        print("noise", file=sys.stderr)
        if name == "compile":
            print(json.dumps({"failed": "CppCompileError: no compiler"}), flush=True)
            sys.exit(1)
        answer = {"steps_per_dispatch": 4 if name == "eager" else 1, "compile_s": None, "about": {}}
    elif request["do"] == "run":
        if name == "eager" and pathlib.Path(case["model"]).read_text().count(name) and case["batch_size"] == 8:
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(7)
        seconds = {"nucseg_jax": 0.1, "eager": 0.4}[name] * request["steps"]
        with open(case["model"], "a") as log:
            print(name, request["steps"], file=log)
        answer = {"seconds": seconds}
    else:
        answer = {"peak_mib": 10.0}
    print(json.dumps(answer), flush=True)
"""
OPTIONS = argparse.Namespace(rounds=3, turn_s=1.0, timeout_s=20.0)
NAMES = (OURS, "eager", "compile")


def fake_cases(log, batch_size):
    axes = dict(model=str(log), mode="train", batch_size=batch_size, dtype="float32")
    return [Case(contender=name, px=64, device="cpu", threads=1, **axes) for name in NAMES], axes


@pytest.fixture
def fakes(monkeypatch):
    command = (sys.executable, "-c", FAKE)
    monkeypatch.setattr(versus_torch, "Worker", lambda environment: Worker(environment, command))
    monkeypatch.setattr(versus_torch, "PAUSE_S", 0.0)


def test_contenders_take_turns_and_a_failed_one_is_shown(tmp_path, fakes):
    log = tmp_path / "turns"
    cases, axes = fake_cases(log, batch_size=2)
    measured = axes | versus_torch.measure(cases, OPTIONS)
    # One dispatch each to know its length, then whole dispatches for at least a second.
    warm_up, turns = ["nucseg_jax 1", "eager 4"], ["nucseg_jax 10", "eager 4"]
    assert log.read_text().splitlines() == warm_up + 3 * turns
    contenders = measured["contenders"]
    assert contenders[OURS]["images_per_second"] == pytest.approx([20.0] * 3)
    assert contenders["eager"]["images_per_second"] == pytest.approx([5.0] * 3)
    assert contenders["compile"]["failed"] == "CppCompileError: no compiler"
    assert contenders["compile"]["stderr"] == "noise"
    assert measured["ratio"]["median"] == pytest.approx(4.0)
    assert measured["ratio"]["against"] == "eager"
    line = row(measured, NAMES)
    assert "failed: CppCompileError: no compiler" in line
    assert "**4.00** (4.00 to 4.00) of eager" in line
    assert line.count("|") == header(NAMES).splitlines()[0].count("|")
    json.dumps(measured)


def test_a_contender_that_dies_on_the_way_does_not_stop_the_others(tmp_path, fakes):
    cases, _ = fake_cases(tmp_path / "turns", batch_size=8)
    measured = versus_torch.measure(cases, OPTIONS)
    died = measured["contenders"]["eager"]
    assert died["failed"] == "died at 'run', exit status 7"
    assert died["stderr"].endswith("out of memory")
    assert len(measured["contenders"][OURS]["images_per_second"]) == 3
    assert measured["contenders"][OURS]["peak_mib"] == 10.0
    # Nothing is left to compare with.
    assert measured["ratio"] is None


def test_a_contender_that_is_silent_is_given_up():
    worker = Worker({}, (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(WorkerError, match=r"no answer to 'start' within 0\.2 s"):
        worker.ask({"do": "start"}, timeout_s=0.2)


def test_ratio_is_of_rounds_against_the_mode_with_the_higher_median():
    contenders = {
        OURS: {"images_per_second": [10.0, 12.0, 9.0]},
        "eager": {"images_per_second": [8.0, 8.0, 8.0]},
        # Highest once, but not in the median.
        "compile": {"images_per_second": [100.0, 5.0, 6.0]},
    }
    assert ratio(contenders) == {"median": 1.25, "low": 1.125, "high": 1.5, "against": "eager"}


def test_both_sides_see_the_same_pixels():
    case = Case(OURS, "unet_resnet50", "train", 2, 64, "float32", "cpu", 2)
    image, label = pixels(case)
    assert image.shape == (2, 64, 64, 3)
    assert label.shape == (2, 64, 64)
    assert image.dtype == label.dtype == "uint8"
    assert 0.05 < label.mean() < 0.5
    for mine, again in zip((image, label), pixels(case), strict=True):
        assert (mine == again).all()
