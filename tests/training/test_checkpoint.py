import json
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest

from nucseg_jax.run_folder.saved_checkpoints import (
    NOTES,
    DamagedCheckpointError,
    all_saved,
    best_saved,
    checkpoint_paths,
    mend_scores,
)
from nucseg_jax.runtime.mesh import make_mesh, replicated
from nucseg_jax.training.checkpoint import (
    abstract_like,
    best_score,
    open_checkpoints,
    restore_checkpoint,
    restore_newest,
    save_checkpoint,
)
from nucseg_jax.training.checksum import weighted_sums
from nucseg_jax.training.state import without_sums_with_nuclei

RECORD = {
    "config": {"model": {"encoder_depths": [1, 2]}},
    "split_digest": "abc",
    "data_digest": "def",
    "files": {"metrics.jsonl": {"bytes": 0, "sha256": "00"}},
}


@pytest.mark.parametrize("with_ema", [False, True])
def test_a_state_comes_back_bit_by_bit_on_another_mesh_with_its_record(tmp_path, small, with_ema):
    state = small().state(8)
    if with_ema:
        ema = {"params": state.params, "batch_stats": state.batch_stats}
        state = state.replace(ema=jax.tree.map(lambda leaf: leaf + 1, ema))
    with open_checkpoints(tmp_path) as checkpoints:
        save_checkpoint(checkpoints, state, RECORD, 0.5)
    mesh = make_mesh(2)
    (path,) = checkpoint_paths(tmp_path)
    restored, record = restore_checkpoint(path, abstract_like(state, mesh))
    assert record.as_json() == {**RECORD, "step": 0, "scores": {"0": 0.5}}
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert all(leaf.sharding == replicated(mesh) for leaf in jax.tree.leaves(restored))


def test_the_last_two_and_the_best_are_kept_also_over_a_restart(tmp_path, small):
    state = small().state()
    scores = [0.3, 0.9, None, 0.5, None, 0.6]
    for number, score in enumerate(scores, start=1):
        # A manager for each: whatever it knows of the past it reads from the folder.
        with open_checkpoints(tmp_path) as checkpoints:
            save_checkpoint(checkpoints, state.replace(step=state.step + number), {}, score)
    with open_checkpoints(tmp_path) as checkpoints:
        assert sorted(checkpoints.all_steps()) == [2, 5, 6]
        assert checkpoints.best_step() == 2
        assert best_score(checkpoints) == 0.9


def test_a_step_that_is_not_new_is_refused_aloud(tmp_path, small):
    state = small().state()
    with open_checkpoints(tmp_path) as checkpoints:
        save_checkpoint(checkpoints, state.replace(step=state.step + 4), {}, 0.1)
        checkpoints.wait_until_finished()
        with pytest.raises((RuntimeError, ValueError), match="4"):
            save_checkpoint(checkpoints, state.replace(step=state.step + 4), {}, 0.1)


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory, small):
    """A folder with checkpoints of steps 1 and 2, and their states."""
    folder, state = tmp_path_factory.mktemp("checkpoints"), small().state()
    states = [state.replace(step=state.step + number) for number in (1, 2)]
    with open_checkpoints(folder) as checkpoints:
        for number, saved in enumerate(states):
            save_checkpoint(checkpoints, saved, RECORD, 0.5 + 0.1 * number)
    return folder, states


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.long
@pytest.mark.parametrize("damage", [flip, halve, pathlib.Path.unlink])
def test_whichever_file_is_damaged_the_newest_state_comes_whole_or_the_one_before(
    two_checkpoints, tmp_path, damage
):
    """Of a whole model; of a few arrays, and in any way: tests/fuzz."""
    folder, states = two_checkpoints
    like = abstract_like(states[0], make_mesh(1))
    names = sorted(path.relative_to(folder) for path in (folder / "2").rglob("*") if path.is_file())
    # Of many pieces of arrays the largest stand for all.
    pieces = sorted(
        (name for name in names if "d" in name.parts), key=lambda name: (folder / name).stat().st_size
    )
    came_back = set()
    for number, name in enumerate([*(name for name in names if name not in pieces), *pieces[-3:]]):
        copy, aside = tmp_path / f"copy{number}", tmp_path / f"aside{number}"
        shutil.copytree(folder, copy)
        damage(copy / name)
        state, _, damaged = restore_newest(copy, like, set_aside=aside)
        jax.tree.map(np.testing.assert_array_equal, state, states[int(state.step) - 1])
        was_damaged = int(state.step) == 1
        came_back.add(int(state.step))
        assert len(damaged) == was_damaged
        assert aside.exists() == was_damaged
        assert (copy / "2").exists() != was_damaged
        # Whatever is left can be opened and added to.
        with open_checkpoints(copy) as checkpoints:
            save_checkpoint(checkpoints, state.replace(step=state.step + 2), {}, 0.7)
    assert came_back == {1, 2}


def test_if_no_checkpoint_is_whole_none_is_moved(two_checkpoints, tmp_path):
    """Else the next start would find no checkpoint, and train anew."""
    folder, states = two_checkpoints
    like = abstract_like(states[0], make_mesh(1))
    score, record = "metrics/metrics", "record/metadata"
    for number, names in enumerate([(score, score), (score, record), (record, score)]):
        copy, aside = tmp_path / f"copy{number}", tmp_path / f"aside{number}"
        shutil.copytree(folder, copy)
        for step, name in zip((1, 2), names, strict=True):
            (copy / str(step) / name).write_text("{")
        for _ in range(2):
            with pytest.raises(DamagedCheckpointError):
                restore_newest(copy, like, set_aside=aside)
        assert {"1", "2"} <= {path.name for path in copy.iterdir()}
        assert not aside.exists()


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path, small):
    like = abstract_like(small().state(), make_mesh(1))
    assert restore_newest(tmp_path / "nowhere", like, set_aside=tmp_path / "aside") is None


def test_a_state_of_another_dtype_or_shape_is_no_damage_that_is_passed_over(two_checkpoints, tmp_path):
    """Every checkpoint fails alike; none is moved."""
    folder, states = two_checkpoints
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    other = jax.tree.map(
        lambda leaf: leaf.update(shape=(*leaf.shape, 2)), abstract_like(states[0], make_mesh(1))
    )
    with pytest.raises(DamagedCheckpointError, match=r"2 is damaged"):
        restore_newest(copy, other, set_aside=tmp_path / "aside")
    assert sorted(path.name for path in copy.iterdir()) == ["1", "2"]


def write_score(path, score):
    (path / "metrics" / "metrics").write_text(json.dumps({"score": score}))


@pytest.mark.parametrize("scores", [{"1": 0.9}, {"1": float("inf")}, {"1": 0.6, "2": 0.5}, {"1": "{"}])
def test_an_altered_score_makes_no_other_checkpoint_the_best(two_checkpoints, tmp_path, scores):
    """One bit, Infinity, two exchanged: what was recorded counts; training does not go on before it is mended."""
    folder, _ = two_checkpoints
    copy = shutil.copytree(folder, tmp_path / "copy")
    for step, score in scores.items():
        write_score(copy / step, score)
    assert best_saved(all_saved(copy)).path.name == "2"
    with pytest.raises(DamagedCheckpointError, match="its score"):
        open_checkpoints(copy)
    assert len(mend_scores(copy)) == len(scores)
    with open_checkpoints(copy) as checkpoints:
        assert (checkpoints.best_step(), best_score(checkpoints)) == (2, 0.6)


@pytest.mark.parametrize("notes", [b"", b"NaN", b"[]", b"[" * 100_000])
def test_orbax_starts_on_a_checkpoint_whose_notes_are_damaged(two_checkpoints, tmp_path, notes):
    copy = shutil.copytree(two_checkpoints[0], tmp_path / "copy")
    (copy / "1" / NOTES).write_bytes(notes)
    assert len(mend_scores(copy)) == 1
    with open_checkpoints(copy) as checkpoints:
        assert checkpoints.best_step() == 2


@pytest.mark.parametrize("name", ["_CHECKPOINT_METADATA", "record/metadata", "state/manifest.ocdbt"])
def test_a_pipe_in_a_checkpoint_is_damage(two_checkpoints, tmp_path, name):
    """Whoever opened it would wait forever."""
    copy = shutil.copytree(two_checkpoints[0], tmp_path / "copy")
    (copy / "2" / name).unlink()
    os.mkfifo(copy / "2" / name)
    with pytest.raises(DamagedCheckpointError, match="no regular file"):
        open_checkpoints(copy)


@pytest.mark.parametrize(
    ("field", "value"), [("scores", {"2": 0.1}), ("config", {}), ("split_digest", "abd"), ("step", 1)]
)
def test_a_record_that_was_altered_is_damage(two_checkpoints, tmp_path, field, value):
    copy = shutil.copytree(two_checkpoints[0], tmp_path / "copy")
    path = copy / "2" / "record" / "metadata"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(DamagedCheckpointError, match="does not match its own SHA-256"):
        best_saved(all_saved(copy))


def test_a_record_of_no_version_is_damage(two_checkpoints, tmp_path):
    copy = shutil.copytree(two_checkpoints[0], tmp_path / "copy")
    (copy / "2" / "record" / "metadata").write_text("{}")
    with pytest.raises(DamagedCheckpointError, match="it holds no split"):
        all_saved(copy)


def test_a_checkpoint_under_another_steps_name_is_damage(two_checkpoints, tmp_path):
    copy = shutil.copytree(two_checkpoints[0], tmp_path / "copy")
    (copy / "2").rename(copy / "3")
    with pytest.raises(DamagedCheckpointError, match="it is the checkpoint of step 2"):
        best_saved(all_saved(copy))


def test_checkpoints_of_earlier_versions_are_read_by_their_own_checksums(two_checkpoints, tmp_path):
    folder, states = two_checkpoints
    like = abstract_like(states[0], make_mesh(1))
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "2" / "record" / "metadata"
    old = {"config": {}, "split_digest": "abc", "checksums": weighted_sums(states[1])}
    path.write_text(json.dumps(old))
    restored, record = restore_checkpoint(copy / "2", like)
    jax.tree.map(np.testing.assert_array_equal, restored, states[1])
    assert not record.is_sealed
    assert best_saved(all_saved(copy)).score == 0.6
    path.write_text(json.dumps({**old, "checksums": weighted_sums(states[0])}))
    with pytest.raises(DamagedCheckpointError, match="other values"):
        restore_checkpoint(copy / "2", like)


@pytest.mark.parametrize(("done", "unknown"), [(0, 0.0), (3, np.nan)])
def test_a_checkpoint_without_sums_over_tiles_with_nuclei_is_read(tmp_path, small, done, unknown):
    """As earlier versions saved it; what a part of an epoch summed to is not known."""
    state = small().state()
    state = state.replace(epoch_sums=state.epoch_sums.replace(steps=state.epoch_sums.steps + done))
    older = without_sums_with_nuclei(state)
    assert older.epoch_sums.terms.keys() == {"dice_loss", "l2_penalty"}
    with open_checkpoints(tmp_path) as checkpoints:
        save_checkpoint(checkpoints, older, RECORD, 0.5)
    like = abstract_like(state, make_mesh(2))
    restored, _, damaged = restore_newest(tmp_path, like, set_aside=tmp_path / "aside")
    assert not damaged
    assert jax.tree.map(lambda leaf: leaf.sharding, restored) == jax.tree.map(
        lambda leaf: leaf.sharding, like
    )
    jax.tree.map(np.testing.assert_array_equal, without_sums_with_nuclei(restored), older)
    np.testing.assert_array_equal(restored.epoch_sums.terms["tiles_with_nuclei"], np.float32(unknown))
