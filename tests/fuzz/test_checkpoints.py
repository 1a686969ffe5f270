"""Damaged checkpoints: the newest state that was saved comes back to the last bit, or an error."""

import pathlib
import shutil
import tempfile

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.checkpoint import read_checkpoint
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.target import flatten
from nucseg_jax.runtime.mesh import make_mesh
from nucseg_jax.runtime.placement import put_state
from nucseg_jax.training.checkpoint import abstract_like, open_checkpoints, restore_newest, save_checkpoint
from nucseg_jax.training.optimizer import paper_optimizer, plateau_schedule
from nucseg_jax.training.state import TrainState, init_state
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import damaged
from tests.pretrained.small_encoders import make_net

# Orbax leaves the reads of the other arrays unfinished when one fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def two_states() -> list[TrainState]:
    """Of steps 1 and 2, a few arrays large."""
    values = np.random.default_rng(0).normal(size=(3, 3, 16, 32)).astype(np.float32)
    variables = {
        "params": {"conv": {"kernel": values, "bias": values[0, 0, 0]}},
        "batch_stats": {"bn": {"mean": values[0, 0]}},
    }
    state = init_state(
        variables,
        paper_optimizer(lr=1e-3, l2=0.0, l2_scope="added", encoder_lr_factor=1.0, frozen_stages=()),
        plateau_schedule(factor=0.1, patience_epochs=2, min_delta=1e-4, min_scale=1e-3),
        term_names=("dice_loss",),
        counted_classes=1,
    )
    return [put_state(state.replace(step=np.int32(step)), make_mesh(1)) for step in (1, 2)]


@pytest.fixture(scope="module")
def two_checkpoints(two_states, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("fuzz") / "checkpoints"
    with open_checkpoints(folder) as checkpoints:
        for state in two_states:
            save_checkpoint(checkpoints, state, {"split_digest": "abc"}, float(state.step))
    return folder


def damage_one_file(folder: pathlib.Path, draw) -> None:
    path = draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    if draw(st.integers(0, 9)) == 0:
        path.unlink()
    else:
        path.write_bytes(draw(damaged(path.read_bytes())))


@fuzzed(cases=30)
@given(data=st.data(), both=st.booleans())
def test_what_a_damaged_checkpoint_gives_back_was_saved(two_states, two_checkpoints, data, both):
    like = abstract_like(two_states[0], make_mesh(1))
    with tempfile.TemporaryDirectory() as root:
        folder, aside = pathlib.Path(root) / "checkpoints", pathlib.Path(root) / "damaged_checkpoints"
        shutil.copytree(two_checkpoints, folder)
        for step in ("2", "1")[: 1 + both]:
            damage_one_file(folder / step, data.draw)
        outcome = ends_well(
            "checkpoints of runs", lambda: restore_newest(folder, like, set_aside=aside), folder=folder.parent
        )
        if isinstance(outcome, UserError):
            assert both
            assert not list(aside.glob("*"))
            assert len(list(folder.iterdir())) == 2
        else:
            state, _, damages = outcome
            jax.tree.map(np.testing.assert_array_equal, state, two_states[int(state.step) - 1])
            assert len(damages) == len(list(aside.glob("*"))) <= 1 + both
            assert damages or int(state.step) == 2


@fuzzed(cases=20)
@given(data=st.data())
def test_what_a_damaged_conversion_gives_back_was_converted(converted, data):
    values, whole = converted
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root) / "weights"
        shutil.copytree(whole, folder)
        damage_one_file(folder, data.draw)
        outcome = ends_well("checkpoints of encoders", lambda: read_checkpoint(folder), folder=folder.parent)
        if not isinstance(outcome, UserError):
            jax.tree.map(np.testing.assert_array_equal, flatten(outcome[0]), values)


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> tuple[dict[str, np.ndarray], pathlib.Path]:
    """The values of a small encoder, and the folder that `convert` made of them."""
    folder, net = tmp_path_factory.mktemp("fuzz"), make_net("resnet50")
    with (folder / "source.npz").open("wb") as file:
        net.write_npz(file)
    convert(net.target, folder / "source.npz", folder / "weights")
    return flatten(read_checkpoint(folder / "weights")[0]), folder / "weights"
