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
