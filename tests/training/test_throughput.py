import numpy as np
import pytest

from nucseg_jax.training.throughput import Mode, measure_in_turns, rate_of, share_of


class Machine:
    """A clock that work moves on; its speed drifts."""

    def __init__(self, drift=0.0):
        self.now, self.drift, self.order = 0.0, drift, []

    def clock(self):
        return self.now

    def work(self, name, seconds):
        def advance(dispatches):
            self.order.append((name, dispatches))
            self.now += dispatches * seconds * (1 + self.drift * self.now)

        return advance


def test_a_rate_is_what_its_blocks_say():
    rate = rate_of([1.0, 2.0, 4.0], images=8, steps=2)
    assert rate.median == 4
    assert rate.mean == pytest.approx(24 / 7)
    assert rate.step_ms == 1000
    assert (rate.p10, rate.p90) == tuple(np.percentile([8, 4, 2], [10, 90]))
    assert rate.blocks == (8, 4, 2)
    for seconds in ([], [1.0, 0.0]):
        with pytest.raises(ValueError, match="blocks of"):
            rate_of(seconds, images=1, steps=1)


def test_modes_take_turns_there_and_back_in_blocks_of_equal_time():
    machine = Machine()
    modes = [Mode(machine.work("a", 0.125), images=8), Mode(machine.work("b", 0.5), images=16, steps=2)]
    a, b = measure_in_turns(modes, blocks=3, block_s=2.0, clock=machine.clock)
    # Two single dispatches of each come before: warm-up, and the size of a block.
    assert machine.order[4:] == [("a", 16), ("b", 4), ("b", 4), ("a", 16), ("a", 16), ("b", 4)]
    assert (a.median, a.step_ms) == (64, 125)
    assert (b.median, b.step_ms) == (32, 250)


def test_a_machine_that_slows_down_does_so_for_every_mode():
    """Within 1 %, although the last turn is four times as slow as the first; one after the other would give 40 %."""
    machine = Machine(drift=0.01)
    modes = [Mode(machine.work(name, 0.5), images=1) for name in "ab"]
    a, b = measure_in_turns(modes, blocks=40, block_s=0.5, clock=machine.clock)
    assert max(a.blocks) / min(a.blocks) > 1.3
    assert share_of(a, b) == pytest.approx(1.0, abs=0.01)
    assert a.median / b.median == pytest.approx(1.0, abs=0.01)


def test_a_share_compares_the_blocks_of_a_turn():
    """The medians of these rates are 4 and 8; turn by turn the first is as fast, half as fast and twice as fast."""
    one, other = (rate_of(seconds, images=8, steps=1) for seconds in ([1, 2, 4], [1, 1, 8]))
    assert share_of(one, other) == 1.0


def test_a_failed_mode_is_its_own_result_and_the_others_go_on():
    machine = Machine()
    work = machine.work("bad", 1.0)
    calls = []

    def fails(dispatches):
        calls.append(dispatches)
        if len(calls) == 4:
            raise MemoryError("RESOURCE_EXHAUSTED")
        work(dispatches)

    modes = [Mode(fails, images=1), Mode(machine.work("good", 1.0), images=1)]
    is_memory = {"failed": lambda error: isinstance(error, MemoryError)}
    bad, good = measure_in_turns(modes, blocks=5, block_s=1.0, clock=machine.clock, **is_memory)
    assert isinstance(bad, MemoryError)
    assert len(calls) == 4
    assert len(good.blocks) == 5
    calls.clear()
    with pytest.raises(MemoryError):
        measure_in_turns(modes, blocks=5, block_s=1.0, clock=machine.clock)
