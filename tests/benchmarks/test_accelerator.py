"""The accelerator's measurement: steps that fail, hang or die leave the others, and a kill leaves what was measured.

The steps here are processes like the real ones, of modules that a test writes.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import hypothesis
import pytest
from hypothesis import strategies as st

from benchmarks.accelerator import (
    measure_lowerings,
    measure_rates,
    measure_repeat,
    measure_tests,
    measure_trace,
    record,
)
from benchmarks.accelerator.commands import CommandError, run_command
from benchmarks.accelerator.floors import training_floor
from benchmarks.accelerator.ledger import DeviceBrokenError, Ledger, OutOfTimeError, read_result, settle
from benchmarks.accelerator.page import page
from benchmarks.accelerator.runner import run
from benchmarks.accelerator.settings import Settings
from benchmarks.accelerator.steps import STEPS, Step
from nucseg_jax.core.errors import UserError
from nucseg_jax.runtime.device_facts import device_facts
from tests.conftest import ROOT

LINES = """
def lines(result):
    return [f"rows: {', '.join(result['rows'])}"]

def note(settings, word):
    with open(settings.scratch + "/calls", "a") as file:
        print(word, file=file)
"""
GOOD = """
def measure(settings, ledger):
    note(settings, "good")
    ledger.row("one", lambda: {"value": 1})
"""
RAISES = """
def measure(settings, ledger):
    ledger.row("one", lambda: {"value": 1})
    raise ValueError("no such shape")
"""
# Its second row ends the process; a third is left, which another process measures.
DIES = """
import os, signal

def die():
    note(settings_, "dies")
    os.kill(os.getpid(), signal.SIGSEGV)

def measure(settings, ledger):
    global settings_
    settings_ = settings
    ledger.row("one", lambda: {"value": 1})
    ledger.row("two", die)
    ledger.row("three", lambda: {"value": 3})
"""
# Deaf to what asks it to end, and so is the process that it starts.
HANGS = """
import os, signal, subprocess, sys, time

def measure(settings, ledger):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(settings.scratch + "/hangs", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    ledger.row("one", lambda: {"value": 1})
    ledger.row("two", lambda: time.sleep(600))
"""
SKIPS = """
from benchmarks.accelerator.ledger import SkippedError

def measure(settings, ledger):
    raise SkippedError("not installed")
"""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "scratch").mkdir()
    return Settings("cpu", True, str(tmp_path / "out"), str(tmp_path / "scratch"))


@pytest.fixture
def make_step(tmp_path, monkeypatch):
    """Writes a module for a step, for this process and those that it starts."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def make(name, text, *, share=1.0, is_required=False):
        module = f"stub_{name}_{os.getpid()}_{time.monotonic_ns()}"
        (folder / f"{module}.py").write_text(LINES + text)
        return Step(name, name.title(), module, share, is_required)

    return make


def written(settings):
    found = json.loads((pathlib.Path(settings.out) / record.NAME).read_text())
    return found, (pathlib.Path(settings.out) / record.PAGE).read_text()


def outcomes(found):
    return {name: entry["outcome"] for name, entry in found["steps"].items()}


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def require_end(*pids):
    """The kernel ends a process that was killed a moment later."""
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, f"of {pids} some still run"
        time.sleep(0.05)


def calls(settings):
    return (pathlib.Path(settings.scratch) / "calls").read_text().split()


def quiet(line):
    del line


def test_steps_that_fail_or_die_leave_the_others_and_are_told_with_their_reasons(settings, make_step):
    texts = {"raises": RAISES, "dies": DIES, "skips": SKIPS, "good": GOOD}
    steps = [make_step(name, text) for name, text in texts.items()]
    run(steps, settings, minutes=10, say=quiet)
    found, text = written(settings)
    assert outcomes(found) == {"raises": "failed", "dies": "failed", "skips": "skipped", "good": "done"}
    assert found["steps"]["raises"]["failed"] == "ValueError: no such shape"
    assert found["steps"]["raises"]["result"]["rows"]["one"]["value"] == 1
    dead = found["steps"]["dies"]
    assert dead["failed"].startswith("1 of 3 failed: two: the process ended with status -11")
    assert [row["outcome"] for row in dead["result"]["rows"].values()] == ["done", "failed", "done"]
    for name, entry in found["steps"].items():
        assert f"| {name} | {entry['outcome']} |" in text
    assert "rows: one, two, three" in text

    # The same again: what has nothing left to measure is kept, its failures too.
    run(steps, settings, minutes=10, say=quiet)
    assert calls(settings) == ["dies", "good"]
    assert outcomes(written(settings)[0]) == outcomes(found)
    # A failure is measured again where that is asked for.
    run(steps, settings, minutes=10, only="dies", retry=True, say=quiet)
    assert calls(settings) == ["dies", "good", "dies"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_step_that_hangs_is_ended_at_its_bound_with_all_that_it_started(settings, make_step):
    hangs = make_step("hangs", HANGS, share=1.0)
    begin = time.monotonic()
    run([hangs, make_step("good", GOOD, share=2.0)], settings, minutes=0.6, say=quiet)
    # 12 s, and what it takes to end it and to run the other.
    assert time.monotonic() - begin < 36
    found, _ = written(settings)
    assert outcomes(found) == {"hangs": "out of time", "good": "done"}
    assert "at its bound of 12 s with 1 measured" in found["steps"]["hangs"]["failed"]
    # It was not the row's fault, unless it happens again.
    assert found["steps"]["hangs"]["result"]["rows"]["two"] == {"outcome": "cut", "cuts": 1}
    pids = (pathlib.Path(settings.scratch) / "hangs").read_text().split()
    assert len(pids) == 2
    require_end(*pids)


def test_without_a_step_that_is_required_no_other_begins(settings, make_step):
    steps = [make_step("raises", RAISES, is_required=True), make_step("good", GOOD)]
    run(steps, settings, minutes=10, say=quiet)
    assert outcomes(written(settings)[0]) == {"raises": "failed", "good": "not started"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_in_the_middle_it_leaves_a_record_no_process_and_goes_on_behind_what_it_has(
    settings, make_step
):
    steps = [make_step("good", GOOD), make_step("hangs", HANGS)]
    code = f"""
import sys
from benchmarks.accelerator.runner import run
from benchmarks.accelerator.settings import Settings
from benchmarks.accelerator.steps import Step
run({steps!r}, {settings!r}, minutes=10)
"""
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    rows = pathlib.Path(settings.out) / "steps" / "hangs.json"
    try:
        deadline = time.monotonic() + 120
        while "two" not in read_result(rows)["rows"]:
            assert runner.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    found, text = written(settings)
    assert outcomes(found) == {"good": "done", "hangs": "running"}
    assert "| good | done |" in text
    pids = (pathlib.Path(settings.scratch) / "hangs").read_text().split()
    require_end(*pids)

    # The step no longer hangs: its first row is not measured again, its second one is.
    done = GOOD + '    ledger.row("two", lambda: {"value": 2})\n'
    changed = [steps[0], Step("hangs", "Hangs", make_step("hangs", done).module, 1.0)]
    run(changed, settings, minutes=10, say=quiet)
    found, _ = written(settings)
    assert outcomes(found) == {"good": "done", "hangs": "done"}
    assert found["steps"]["hangs"]["result"]["rows"]["two"]["value"] == 2


def test_a_folder_of_another_device_is_refused_and_one_that_is_no_record(settings, tmp_path):
    record.read_record(tmp_path, settings, ["one"])
    (tmp_path / record.NAME).write_text(
        json.dumps({"options": {"device": "cuda", "small": True}, "steps": {}})
    )
    with pytest.raises(UserError, match=r"was measured with .*cuda"):
        record.read_record(tmp_path, settings, ["one"])
    (tmp_path / record.NAME).write_text("[]")
    with pytest.raises(UserError, match="is no record"):
        record.read_record(tmp_path, settings, ["one"])


def test_the_folder_stays_within_its_size_and_loses_the_largest_first(tmp_path):
    sizes = {"accelerator.json": 10, "steps/a.json": 500_000, "logs/a.txt": 3_000_000}
    sizes |= {"trace.gz": 5_000_000, "other.gz": 4_000_000, "small.gz": 1_000_000}
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * (size - 3) + b"end")
    assert record.fit_into(tmp_path) == ["trace.gz"]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < record.MOST_BYTES
    assert {"accelerator.json", "a.json", "other.gz", "small.gz"} < {path.name for path in left}
    assert (tmp_path / "logs/a.txt").read_bytes().endswith(b"end")
    assert record.fit_into(tmp_path) == []


def test_rows_are_measured_once_and_in_time(tmp_path):
    now = [0.0]
    path = tmp_path / "rows.json"

    def ledger():
        return Ledger(path, 10.0, clock=lambda: now[0])

    def fails(error):
        raise error

    first = ledger()
    assert first.row("a", lambda: {"value": 1})["outcome"] == "done"
    assert first.row("b", lambda: fails(ValueError("odd\nlines")))["failed"] == "ValueError: odd"
    assert first.row("c", lambda: fails(RuntimeError("RESOURCE_EXHAUSTED: x")))["outcome"] == "out of memory"
    device_error = type("JaxRuntimeError", (RuntimeError,), {})
    with pytest.raises(DeviceBrokenError):
        first.row("d", lambda: fails(device_error("INTERNAL: illegal address")))
    again = ledger()
    assert again.row("a", lambda: pytest.fail("it was measured before")) == first.result["rows"]["a"]
    now[0] = 11.0
    with pytest.raises(OutOfTimeError):
        again.row("e", dict)
    assert "e" not in read_result(path)["rows"]


def test_a_row_that_was_cut_at_the_bound_has_one_more_chance(tmp_path):
    path = tmp_path / "rows.json"
    for expected in ("cut", "failed"):
        cuts = read_result(path)["rows"].get("a", {}).get("cuts", 0)
        path.write_text(json.dumps({"rows": {"a": {"outcome": "running", "cuts": cuts}}}))
        assert settle(path, reason=None)
        assert read_result(path)["rows"]["a"]["outcome"] == expected
    assert not settle(path, reason=None)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_command_that_takes_too_long_ends_with_what_it_started(tmp_path):
    """Also where that holds its streams open; the step's own time is another reason."""
    pids = tmp_path / "pids"
    code = "import os, pathlib, subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; "
    code += f"time.sleep(600)'])\npathlib.Path({str(pids)!r}).write_text(str(child.pid))\ntime.sleep(600)"
    command = [sys.executable, "-c", code]
    with pytest.raises(CommandError, match=r"did not end within 8 s"):
        run_command(command, Ledger(tmp_path / "rows", time.monotonic() + 100), os.environ, longest_s=8)
    require_end(pids.read_text())
    with pytest.raises(OutOfTimeError):
        run_command(command, Ledger(tmp_path / "rows", time.monotonic() + 0.5), os.environ, longest_s=8)
    fails = [sys.executable, "-c", "import sys; sys.exit('ValueError: no such shape\\nbye')"]
    with pytest.raises(CommandError, match="exit status 1: ValueError: no such shape"):
        run_command(fails, Ledger(tmp_path / "rows", time.monotonic() + 100), os.environ)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rows", "one", "outcome", "failed", "ratio"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=12,
)
ROWS = st.dictionaries(
    st.text(max_size=8),
    st.dictionaries(
        st.sampled_from(["outcome", "failed", "training", "ratio", "contenders", "starts"]), JSON
    ),
    max_size=3,
)
RESULTS = st.fixed_dictionaries({"rows": ROWS}, optional={"skipped": JSON, "asked": JSON, "proposal": JSON})
ENTRIES = st.fixed_dictionaries({"outcome": JSON}, optional={"result": RESULTS | JSON, "failed": JSON})
RECORDS = st.fixed_dictionaries(
    {"steps": st.dictionaries(st.sampled_from([s.name for s in STEPS]), ENTRIES | JSON)}
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(RECORDS | JSON)
def test_a_page_is_made_from_any_json(found):
    text = page(found, STEPS)
    lines = text.splitlines()
    start = lines.index("| step | outcome | s | bound, s | reason |")
    # Whatever a record holds, one line a step, and no cell that ends its row.
    for step, line in zip(STEPS, lines[start + 2 :], strict=False):
        assert line.startswith(f"| {step.name} |")
        assert line.count("|") == 6
    assert sum(line.startswith("- **") for line in lines) == 3


def test_the_page_of_no_record_says_that_nothing_is_measured():
    assert page({}, STEPS).count("not measured.") == 3


def test_steps_and_page_need_no_jax():
    """The runner holds no device, which its steps have to themselves."""
    code = "import sys; from benchmarks.accelerator.page import page; from benchmarks.accelerator.steps import STEPS\n"
    code += "import benchmarks.accelerator.runner, importlib\npage({}, STEPS)\n"
    code += "for step in STEPS: assert all(hasattr(importlib.import_module(step.module), n) for n in"
    code += " ('measure', 'lines')), step\nsys.exit('jax' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def duel(field, both, reference, *, count=1, multiply_adds=0):
    values = dict(field=field, both=both, both_reference=reference, count=count, multiply_adds=multiply_adds)
    return {"outcome": "done", **values}


def test_the_proposed_row_is_the_fastest_by_what_was_measured():
    current = dict.fromkeys(measure_lowerings.CHOICES, "reference") | {"max_pool": "slices"}
    current |= {"winograd_from": None, "kernel_gradient_px": None}
    rows = {
        # A frequent loss outweighs a rare gain.
        "a": duel("atrous", 1.0, 5.0),
        "b": duel("atrous", 2.0, 1.0, count=9),
        "c": duel("depthwise", 1.0, 4.0),
        "d": duel("pointwise", 0.99, 1.0),
        # Slices lose.
        "e": duel("max_pool", 3.0, 1.0),
        "f": duel("winograd_from", 5.0, 1.0, multiply_adds=10),
        "g": duel("winograd_from", 2.0, 3.0, multiply_adds=20),
        "h": duel("winograd_from", 2.0, 9.0, multiply_adds=30),
        "i": {"outcome": "failed", "failed": "no memory"},
    }
    assert measure_lowerings.proposal({"rows": rows}, current, 77) == {
        "pointwise": "reference",
        "atrous": "reference",
        "transpose_kernel_gradient": "reference",
        "depthwise": "shifted",
        "max_pool": "reference",
        "winograd_from": 20,
        "kernel_gradient_px": None,
    }


def test_a_report_of_pytest_gives_names_and_reasons(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'one | two'\n"
        "@pytest.fixture\ndef broken(): raise OSError('no disk')\n"
        "def test_error(broken): pass\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--rootdir",
        str(tmp_path),
        "--junitxml",
        "report.xml",
        ".",
    ]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    row = measure_tests.read_report((tmp_path / "report.xml").read_text())
    assert (row["passed"], row["skipped"], row["names"]) == (1, 1, ["test_good"])
    assert row["failures"].keys() == {"test_bad", "test_error"}
    assert "one | two" in row["failures"]["test_bad"]
    result = {"rows": {"tests/test_it.py": {**row, "outcome": "failed"}}, "asked": ["tests/test_it.py"]}
    assert measure_tests.answer(result, {}).startswith(
        "No: 1 device tests passed, 2 failed (`test_bad`, `test_error`)"
    )
    assert measure_tests.answer({"rows": {}}, {}) == "not measured."


def made_run(folder, *, loss=0.5, rate=9.0, results="{}"):
    folder.mkdir()
    for name in measure_repeat.SAME:
        (folder / name).write_text("{}")
    (folder / "results.json").write_text(results)
    rows = [
        {"kind": "train", "step": step, "loss": loss * step, "images_per_second": rate} for step in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_runs_are_the_same_but_for_their_rates_and_a_difference_is_an_answer(tmp_path):
    first = made_run(tmp_path / "first")
    same = measure_repeat.compared("twice", first, made_run(tmp_path / "same", rate=3.0))
    assert (same["passed"], same["failures"], same["logged_steps"]) == (1, {}, 2)
    assert "failed" not in same
    other = measure_repeat.compared(
        "twice", first, made_run(tmp_path / "other", loss=0.5000001, results="[]")
    )
    assert (
        other["failed"] == other["failures"]["twice"] == "not equal: results.json, metrics.jsonl from line 1"
    )
    tests = {"rows": {"tests/test_it.py": {"outcome": "done", "passed": 3}}, "asked": ["tests/test_it.py"]}
    repeats = {"rows": {"twice": {"outcome": "done", **same}}, "asked": ["twice"]}
    assert measure_tests.answer(tests, repeats).startswith("Yes: 4 device tests passed")
    repeats["asked"].append("resumed")
    assert measure_tests.answer(tests, repeats).startswith("Not known yet: 4 device tests passed")
    repeats["rows"]["twice"] = {"outcome": "failed", **other}
    assert measure_tests.answer(tests, repeats).startswith("No: 3 device tests passed, 1 failed (`twice`)")


def test_rates_say_what_they_had_no_time_for(monkeypatch, settings, tmp_path):
    """A row of a paper model takes 40 s here, of a bound of 400 s."""
    now = [0.0]

    def measured(*_):
        now[0] += 40
        return {}

    monkeypatch.setattr(measure_rates, "measure_pair", measured)
    rows = Ledger(tmp_path / "rates.json", 400.0, clock=lambda: now[0])
    with pytest.raises(OutOfTimeError):
        measure_rates.measure(dataclasses.replace(settings, device="cuda", small=False), rows)
    assert len(rows.result["asked"]) == 60
    assert len(rows.result["rows"]) == 10
    line = measure_rates.lines(rows.result)[-1]
    start = (
        "Left out for lack of time, 50 of 60 rows: TF32, batch 8 (2 models); bfloat16, batch 32 (4 models); "
    )
    assert line.startswith(start)
    rows.result["rows"] = {name: {"outcome": "done"} for name in rows.result["asked"]}
    assert "Left out" not in measure_rates.lines(rows.result)[-1]


def test_every_kind_of_proof_is_among_the_device_tests():
    """Operations, targets, a step beside the CPU, bfloat16, dispatches, export and tiles."""
    folders = {name.split("/")[1] for name in measure_tests.files()}
    assert {"ops", "heads", "training", "inference"} <= folders
    names = {pathlib.PurePosixPath(name).name for name in measure_tests.files()}
    assert {"test_conv.py", "test_depthwise.py", "test_winograd.py", "test_step_beside_cpu.py"} < names
    assert {"test_bfloat16.py", "test_feed.py", "test_export.py"} < names
    assert set(measure_tests.SMALL) < set(measure_tests.files())


def made_trace(device):
    """Two kernels on an accelerator and the module around them; on the host what called them."""
    threads = [(7, 1, "Stream #1"), (7, 2, "XLA Modules"), (3, 9, "main")]
    events = [{"ph": "M", "pid": 7, "name": "process_name", "args": {"name": device}}]
    events += [
        {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}
        for pid, tid, name in threads
    ]
    for pid, tid, name, dur in (
        (7, 1, "conv", 30.0),
        (7, 1, "add", 10.0),
        (7, 1, "conv", 50.0),
        (7, 2, "step", 99.0),
    ):
        events.append({"ph": "X", "pid": pid, "tid": tid, "name": name, "dur": dur, "args": {}})
    return [*events, {"ph": "X", "pid": 3, "tid": 9, "name": "dispatch", "dur": 500.0, "args": {}}]


def test_the_dearest_kernels_are_those_of_the_device_each_counted_once():
    found = measure_trace.dearest(made_trace("/device:GPU:0 (NVIDIA)"))
    assert [(each["name"], each["calls"]) for each in found["kernels"]] == [("conv", 2), ("add", 1)]
    assert found["traced_ms"] == pytest.approx(0.09)
    assert sum(each["share"] for each in found["kernels"]) == pytest.approx(1.0)
    # Two programs have kernels of the same name.
    of_two = [
        event | {"args": {"hlo_module": event.get("dur")}} for event in made_trace("/device:GPU:0")[-5:]
    ]
    found = measure_trace.dearest([*made_trace("/device:GPU:0")[:4], *of_two])
    assert [each["name"] for each in found["kernels"]] == ["50.0: conv", "30.0: conv", "10.0: add"]
    with pytest.raises(CommandError, match="no kernel"):
        measure_trace.dearest(made_trace("/host:CPU"))


def test_floors_are_those_of_the_table():
    """Rounded to hundreds there; 790 TFLOP/s and 4.3 TB/s of an H200."""
    facts = device_facts("NVIDIA H200")
    expected = {"unet_resnet50": 4500, "unet_efficientnet_b4": 3300, "deeplabv3plus_resnet50": 4400}
    expected["deeplabv3plus_efficientnet_b4"] = 5600
    for model, floor in expected.items():
        assert training_floor(model, facts) == pytest.approx(floor, rel=0.03)
    assert training_floor("unet_resnet50", device_facts("Tesla V100-SXM2-16GB")) is None


def test_the_command_in_small_ends_in_a_record_and_a_page(tmp_path):
    """The cheapest step, end to end; all of them: `python -m benchmarks.accelerator --device=cpu --small`."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.accelerator", "--device=cpu", "--small", "--only=machine"]
    command.append(f"--out={out}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((out / record.NAME).read_text())
    assert set(found["steps"]) == {step.name for step in STEPS}
    assert found["steps"]["machine"]["outcome"] == "done"
    assert found["steps"]["machine"]["result"]["rows"]["device"]["kind"] == "cpu"
    assert "## The machine" in (out / record.PAGE).read_text()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert "machine: done before, kept" in again.stdout
    refused = subprocess.run(
        [*command, f"--scratch={out}/x"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode
    assert "inside --out" in refused.stderr
