import jax
import jax.numpy as jnp
import pytest

from nucseg_jax.training.loop import Hooks, fit
from nucseg_jax.training.paced_fit import PacedFit
from nucseg_jax.training.schedule import Schedule


class State:
    """All that the loop looks at."""

    def __init__(self, step):
        self.step = step


jax.tree_util.register_pytree_node(
    State, lambda state: ((state.step,), None), lambda _, leaves: State(*leaves)
)
SCHEDULE = Schedule(epochs=3, steps_per_epoch=4, log_every_steps=2, checkpoint_every_steps=0)


def hooks_into(events, fails_at=None):
    def steps(state, tickets):
        if fails_at == int(state.step):
            raise MemoryError("RESOURCE_EXHAUSTED")
        events.append(("step", int(state.step)))
        return State(state.step + 1), {"loss": jnp.ones(1)}

    def end_epoch(state, epoch):
        events.append(("epoch", epoch))
        return state, 0.0

    return Hooks(
        tickets=lambda epoch, first: iter(range(first, SCHEDULE.steps_per_epoch)),
        steps=steps,
        end_epoch=end_epoch,
        save=lambda state, score: events.append(("save", int(state.step))),
        on_step=lambda step: None,
        on_logs=lambda step, logs: events.append(("logs", step)),
    )


def test_in_pieces_the_loop_does_what_it_does_in_one_go():
    whole, pieces = [], []
    fit(State(jnp.zeros((), int)), SCHEDULE, hooks_into(whole))
    paced = PacedFit(State(jnp.zeros((), int)), SCHEDULE, hooks_into(pieces))
    assert not pieces
    for dispatches in (1, 2, 5, 3):
        before = sum(event == "step" for event, _ in pieces)
        paced.advance(dispatches)
        assert sum(event == "step" for event, _ in pieces) == before + dispatches
    paced.close()
    assert pieces == whole[: len(pieces)]
    assert ("save", 8) in pieces


def test_an_error_of_the_loop_comes_out_of_advance():
    paced = PacedFit(State(jnp.zeros((), int)), SCHEDULE, hooks_into([], fails_at=3))
    paced.advance(3)
    with pytest.raises(MemoryError):
        paced.advance(1)
    paced.close()


def test_a_schedule_that_ends_is_an_error_and_not_a_wait_for_ever():
    paced = PacedFit(State(jnp.zeros((), int)), SCHEDULE, hooks_into([]))
    with pytest.raises(RuntimeError, match="schedule of 12 steps"):
        paced.advance(13)
    paced.close()
