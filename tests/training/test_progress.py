import pytest

from nucseg_jax.training import progress


def test_the_rate_counts_steps_that_are_done_and_is_shared_by_the_lines_of_one_dispatch(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.Progress(total_steps=100, done_steps=10, batch_size=8)
    shown.stepped(10)
    now[0] += 4
    shown.stepped(18)
    # Lines of steps 12 and 16 come once all of 11 to 18 are done.
    assert [shown.logged(step, 0.5) for step in (12, 16)] == [16.0, 16.0]
    now[0] += 2
    shown.stepped(26)
    assert shown.logged(20, 0.5) == 32.0
    shown.paused()
    now[0] += 50
    assert shown.logged(24, 0.5) is None
    shown.stepped(34)
    now[0] += 1
    shown.stepped(42)
    assert shown.logged(40, 0.5) is not None
    shown.close()


def test_a_step_that_was_waited_for_before_has_no_rate(monkeypatch):
    """The first step of a start is compiled and done when its loop first looks at the clock."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.Progress(total_steps=100, done_steps=0, batch_size=8)
    shown.started(1)
    shown.stepped(0)
    now[0] += 1e-4
    shown.stepped(1)
    assert shown.logged(1, 0.5) is None
    now[0] += 2
    shown.stepped(2)
    assert shown.logged(2, 0.5) == pytest.approx(4.0, rel=1e-3)
    shown.close()
