import functools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.evaluation.instances.binary_quality import binary_panoptic_quality
from nucseg_jax.evaluation.instances.nucleus_scorer import NucleusScorer, TruePatch
from nucseg_jax.heads.decoding import worker_count as counting
from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.in_processes import map_in_processes
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.quantize import map_levels
from nucseg_jax.heads.decoding.tuning import tune
from nucseg_jax.ops.probability import nucleus_level
from tests.heads.decoding.perfect_maps import hover, level_of, touching_discs
from tests.heads.decoding.worker_imports import imports_jax

SCORER = NucleusScorer(NucleusRule(parting=HoverParting()), 0, 0.25)
# Prints the ids of two workers and lets them sleep for a minute, a quarter of a second at a time.
SLEEPS = """
import multiprocessing, os, signal, time
from nucseg_jax.heads.decoding.in_processes import map_in_processes
if __name__ == "__main__":
    # A shell's background jobs ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _ in map_in_processes(time.sleep, [0.25] * 480, workers=2):
        print(*(each.pid for each in multiprocessing.active_children()), flush=True)
"""


def patches(count: int) -> list[TruePatch]:
    made = []
    for seed in range(count):
        truth = touching_discs(seed, size=64, count=8)
        band = Band(level_of(truth), maps=map_levels(hover(truth)))
        made.append(TruePatch(band, truth, (truth > 0).astype(np.uint8)))
    return made


def assert_same(found, expected):
    for field, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(field, other)


def test_processes_give_what_one_gives_in_its_order():
    """Two workers, and a patch that cannot be decoded at its turn: all before it come first."""
    expected = list(SCORER.count_patches(patches(11)))
    assert sum(int(each.tp[0]) for each in expected) > 11
    taken = []

    def source():
        without_maps = TruePatch(Band(np.zeros((4, 4), np.uint8)), np.zeros((4, 4)), np.zeros((4, 4)))
        for index, patch in enumerate([*patches(11), without_maps]):
            taken.append(index)
            yield patch

    counted = SCORER.count_patches(source(), workers=2)
    assert_same(next(counted), expected[0])
    # No more wait than the bound.
    assert len(taken) == 8
    for each in expected[1:]:
        assert_same(next(counted), each)
    with pytest.raises(UserError, match="maps"):
        next(counted)


def test_a_rule_is_tuned_by_several_processes_to_the_same_digits():
    given = [(each.band.level, each.band.maps, each.truth) for each in patches(3)]
    tuned_by = functools.partial(tune, given, SCORER.rule, binary_panoptic_quality, microns_per_px=0.25)
    options = dict(thresholds=(0.5,), values=(0.1, 0.4))
    assert tuned_by(workers=2, **options) == tuned_by(workers=1, **options)


def test_workers_import_no_jax():
    """It takes a second and 100 MB of each."""
    items = [SCORER, tune, binary_panoptic_quality, nucleus_level]
    assert list(map_in_processes(imports_jax, items, workers=2)) == [False, False, False, True]


def test_a_large_item_and_a_large_result_block_nothing():
    """More than a pipe holds, both ways."""
    items = [np.full(1 << 20, number, np.uint8) for number in range(10)]
    for item, result in zip(items, map_in_processes(np.array, items, workers=2), strict=True):
        np.testing.assert_array_equal(item, result)


def test_an_error_of_a_worker_tells_where_it_was_raised():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        list(map_in_processes(int, ["1", "none"], workers=2))
    assert "in_processes.py" in caught.value.__notes__[0]


def test_a_worker_that_is_killed_is_one_clear_error():
    with pytest.raises(UserError, match="ran out of memory"):
        list(map_in_processes(os._exit, [7], workers=2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_signal_leaves_workers_behind(number):
    """A terminal's Ctrl-C goes to all of the group, and only the first process shows what it interrupts.

    Workers hold the script's standard error, so that it ends once the last of them has.
    """
    script = subprocess.Popen(
        [sys.executable, "-c", SLEEPS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert script.stdout is not None
    workers = [int(word) for word in script.stdout.readline().split()]
    assert len(workers) == 2
    if number == signal.SIGINT:
        os.killpg(script.pid, number)
    else:
        script.send_signal(number)
    _, errors = script.communicate(timeout=300)
    assert script.returncode == -number
    assert errors.count("Traceback") == (number == signal.SIGINT)
    assert "leaked" not in errors


def test_no_worker_is_refused():
    with pytest.raises(UserError, match="workers is 0"):
        map_in_processes(abs, [1], workers=0)


@pytest.mark.parametrize(
    ("cores", "work_s", "workers"),
    [(64, 9.9, 1), (64, 10.0, 2), (64, 20.0, 4), (64, 1e4, 8), (2, 1e4, 2), (1, 1e4, 1), (64, 0.0, 1)],
)
def test_workers_are_as_many_as_have_cores_and_work(monkeypatch, cores, work_s, workers):
    monkeypatch.setattr(counting, "usable_cores", lambda: cores)
    assert counting.worker_count(work_s) == workers


def test_only_cores_that_this_process_may_use_count():
    if hasattr(os, "sched_getaffinity"):
        assert counting.usable_cores() == len(os.sched_getaffinity(0))
    assert 1 <= counting.usable_cores() <= (os.cpu_count() or 1)
