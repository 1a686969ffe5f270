"""The loop with a toy step: what it calls, when, and from where it goes on."""

import dataclasses
import itertools

import jax.numpy as jnp
import pytest

from nucseg_jax.core.errors import Preempted, UserError
from nucseg_jax.training.loop import Hooks, NonFiniteLossError, fit
from nucseg_jax.training.schedule import Schedule, dispatch_sizes, make_schedule


class ToyState:
    """A state with a step and the sum of all batches it has seen."""

    def __init__(self, step=0, total=0):
        self.step, self.total = step, total


class Toy:
    """Records every call; batch b of epoch e is the number 100 e + b."""

    def __init__(self, schedule, nan_at=None, steps_per_dispatch=1):
        self.schedule, self.nan_at, self.steps_per_dispatch = schedule, nan_at, steps_per_dispatch
        self.saved, self.logged, self.steps, self.epochs, self.dispatched = [], [], [], [], []

    def hooks(self):
        def tickets(epoch, first):
            sizes = dispatch_sizes(self.schedule, self.steps_per_dispatch, epoch=epoch, first_step=first)
            for size in sizes:
                self.dispatched.append(size)
                yield [100 * epoch + b for b in range(first, first + size)]
                first += size

        def steps(state, batches):
            losses = []
            for batch in batches:
                state = ToyState(state.step + 1, state.total * 3 + batch)
                losses.append(float("nan") if state.step == self.nan_at else state.total % 7)
            return state, {"loss": jnp.asarray(losses, jnp.float32)}

        def end_epoch(state, epoch):
            self.epochs.append(epoch)
            return state, float(epoch)

        return Hooks(
            tickets=tickets,
            steps=steps,
            end_epoch=end_epoch,
            save=lambda state, score: self.saved.append((state.step, state.total, score)),
            on_step=self.steps.append,
            on_logs=lambda step, logs: self.logged.append((step, logs["loss"])),
        )


SCHEDULE = Schedule(epochs=3, steps_per_epoch=5, log_every_steps=2, checkpoint_every_steps=3)


@pytest.mark.parametrize(("dispatch", "saved_at"), [(1, 1), (4, 4), (7, 7), (8, 8)])
def test_a_notice_saves_at_the_next_step_and_the_run_goes_on_as_if_nothing_had_been(dispatch, saved_at):
    unbroken = Toy(SCHEDULE)
    expected = fit(ToyState(), SCHEDULE, unbroken.hooks())
    toy, calls = Toy(SCHEDULE), itertools.count(1)
    hooks = dataclasses.replace(toy.hooks(), should_stop=lambda: next(calls) == dispatch)
    with pytest.raises(Preempted, match=f"step {saved_at} of 15"):
        fit(ToyState(), SCHEDULE, hooks)
    step, total, score = toy.saved[-1]
    assert (step, score) == (saved_at, None)
    resumed = fit(ToyState(step, total), SCHEDULE, toy.hooks())
    assert (resumed.step, resumed.total) == (expected.step, expected.total)
    assert toy.epochs == unbroken.epochs


def test_a_notice_in_an_epochs_last_step_leaves_after_its_validation():
    toy = Toy(SCHEDULE)
    hooks = dataclasses.replace(toy.hooks(), should_stop=lambda: max(toy.steps) == 4)
    with pytest.raises(Preempted, match="step 5 of 15"):
        fit(ToyState(), SCHEDULE, hooks)
    assert toy.epochs == [0]
    assert toy.saved[-1][::2] == (5, 0.0)


def test_a_notice_in_the_very_last_step_lets_the_run_finish():
    toy = Toy(SCHEDULE)
    assert (
        fit(
            ToyState(), SCHEDULE, dataclasses.replace(toy.hooks(), should_stop=lambda: max(toy.steps) == 14)
        ).step
        == 15
    )


def test_no_notice_saves_the_outcome_of_a_step_that_was_not_finite():
    toy = Toy(SCHEDULE, nan_at=1)
    with pytest.raises(NonFiniteLossError):
        fit(ToyState(), SCHEDULE, dataclasses.replace(toy.hooks(), should_stop=lambda: True))
    assert not toy.saved


def test_who_is_called_when():
    toy = Toy(SCHEDULE)
    state = fit(ToyState(), SCHEDULE, toy.hooks())
    assert state.step == 15
    assert toy.steps == sorted(toy.steps)
    assert set(toy.steps) == set(range(16))
    assert toy.epochs == [0, 1, 2]
    # Every second step, every checkpoint, every end of an epoch.
    assert [step for step, _ in toy.logged] == [2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 15]
    # Every third step but where the epoch ends anyway; scores at the ends only.
    assert [(step, score) for step, _, score in toy.saved] == [
        (3, None), (5, 0.0), (6, None), (9, None), (10, 1.0), (12, None), (15, 2.0),
    ]  # fmt: skip


def test_from_every_checkpoint_it_ends_where_the_unbroken_run_ends():
    unbroken = Toy(SCHEDULE)
    end = fit(ToyState(), SCHEDULE, unbroken.hooks())
    for step, total, _ in unbroken.saved:
        resumed = Toy(SCHEDULE)
        again = fit(ToyState(step, total), SCHEDULE, resumed.hooks())
        assert (again.step, again.total) == (end.step, end.total)
        assert resumed.saved == [save for save in unbroken.saved if save[0] > step]


@pytest.mark.parametrize("steps_per_dispatch", [2, 3, 4, 8])
@pytest.mark.parametrize("checkpoint_every_steps", [0, 3, 7])
def test_steps_per_dispatch_change_no_log_no_checkpoint_and_no_result(
    steps_per_dispatch, checkpoint_every_steps
):
    schedule = Schedule(3, 11, log_every_steps=4, checkpoint_every_steps=checkpoint_every_steps)
    single, several = Toy(schedule), Toy(schedule, steps_per_dispatch=steps_per_dispatch)
    ends = [fit(ToyState(), schedule, toy.hooks()) for toy in (single, several)]
    assert ends[0].total == ends[1].total
    assert single.logged == several.logged
    assert single.saved == several.saved
    assert several.steps == sorted(several.steps)
    assert set(several.dispatched) <= {1, steps_per_dispatch}
    assert sum(several.dispatched) == 33
    # From any checkpoint the rest is dispatched as in the unbroken run, so rounding cannot differ either.
    for step, total, _ in several.saved:
        resumed = Toy(schedule, steps_per_dispatch=steps_per_dispatch)
        fit(ToyState(step, total), schedule, resumed.hooks())
        assert resumed.saved == [save for save in several.saved if save[0] > step]
        assert resumed.dispatched == several.dispatched[len(several.dispatched) - len(resumed.dispatched) :]


def test_steps_run_together_wherever_they_fit():
    schedule = Schedule(1, 21, log_every_steps=4, checkpoint_every_steps=0)
    assert list(dispatch_sizes(schedule, 8, epoch=0, first_step=0)) == [8, 8, 1, 1, 1, 1, 1]
    assert list(dispatch_sizes(schedule, 8, epoch=0, first_step=5)) == [8, 8]


@pytest.mark.parametrize("steps_per_dispatch", [1, 2])
@pytest.mark.parametrize("nan_at", [1, 4, 5, 8])
def test_a_non_finite_loss_names_its_step_and_no_later_state_is_saved(nan_at, steps_per_dispatch):
    toy = Toy(SCHEDULE, nan_at=nan_at, steps_per_dispatch=steps_per_dispatch)
    with pytest.raises(NonFiniteLossError, match=f"loss is nan at step {nan_at}") as caught:
        fit(ToyState(), SCHEDULE, toy.hooks())
    assert (caught.value.step, caught.value.term) == (nan_at, "loss")
    assert all(step < nan_at for step, _, _ in toy.saved)


@pytest.mark.parametrize("patches", [1, 2, 5, 90])
@pytest.mark.parametrize("log_every_steps", [1, 20, 1000])
def test_the_first_line_comes_before_the_middle_of_the_first_epoch(patches, log_every_steps):
    schedule = make_schedule(
        patches,
        epochs=1,
        patch_px=256,
        tile_px=64,
        batch_size=4,
        log_every_steps=log_every_steps,
        checkpoint_every_steps=0,
    )
    assert schedule.steps_per_epoch == patches * 4
    assert 1 <= schedule.log_every_steps < schedule.steps_per_epoch / 2


@pytest.mark.parametrize(("patch_px", "most"), [(128, 262_143), (256, 65_535), (288, 51_781), (512, 16_383)])
def test_an_epoch_of_more_pixels_than_counts_can_hold_is_refused_whatever_the_size_of_a_patch(patch_px, most):
    options = dict(
        epochs=1, patch_px=patch_px, tile_px=32, batch_size=8, log_every_steps=1, checkpoint_every_steps=0
    )
    assert make_schedule(most, **options).steps_per_epoch == most * (patch_px // 32) ** 2 // 8
    assert most * patch_px**2 < 2**32 <= (most + 1) * patch_px**2
    with pytest.raises(UserError, match=f"{most + 1:,} patches of {patch_px} px") as caught:
        make_schedule(most + 1, **options)
    assert f"at most {most:,}, " in str(caught.value)


def test_a_log_that_may_be_undefined_is_left_out_of_a_step_and_ends_nothing():
    toy, logged = Toy(SCHEDULE), {}
    inner = toy.hooks()

    def steps(state, batches):
        state, logs = inner.steps(state, batches)
        return state, {**logs, "with_nuclei": jnp.where(logs["loss"] > 3, logs["loss"], jnp.nan)}

    hooks = dataclasses.replace(
        inner, steps=steps, undefined=frozenset({"with_nuclei"}), on_logs=logged.__setitem__
    )
    fit(ToyState(), SCHEDULE, hooks)
    assert {len(logs) for logs in logged.values()} == {1, 2}
    assert all(logs.get("with_nuclei", logs["loss"]) == logs["loss"] for logs in logged.values())
    with pytest.raises(NonFiniteLossError, match="with_nuclei"):
        fit(ToyState(), SCHEDULE, dataclasses.replace(hooks, undefined=frozenset()))
