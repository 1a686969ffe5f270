"""A journal is believed only where it, and all that it tells of, are as they were written."""

import json
import shutil

import numpy as np
import pytest

from nucseg_jax.heads.decoding.band import Band
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.inference.output.journal import (
    Journal,
    altered_outputs,
    output_digests,
    read_journal,
    write_journal,
)
from nucseg_jax.inference.output.probability_store import ProbabilityStore, band_digest, intact_bands

JOURNAL = Journal("key", [10, 20], ["a", "b"], {"nuclei": 3, "mean": 0.1}, {"a.mask.png": "c"})


def test_a_journal_reads_as_it_was_written_for_its_own_job_alone(tmp_path):
    write_journal(tmp_path / "j", JOURNAL)
    assert read_journal(tmp_path / "j", "key") == JOURNAL
    assert read_journal(tmp_path / "j", "other") == Journal("other")
    assert read_journal(tmp_path / "none", "key") == Journal("key")


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored["ends"].append(30),
        lambda stored: stored["summary"].update(nuclei=4),
        lambda stored: stored["outputs"].clear(),
        lambda stored: stored.update(ends="many"),
        lambda stored: stored.update(unknown=1),
        lambda stored: stored.pop("sha256"),
        lambda stored: stored.clear(),
    ],
)
def test_a_journal_that_was_altered_is_none(damage, tmp_path):
    write_journal(tmp_path / "j", JOURNAL)
    stored = json.loads((tmp_path / "j").read_text())
    damage(stored)
    (tmp_path / "j").write_text(json.dumps(stored))
    assert read_journal(tmp_path / "j", "key") == Journal("key")


@pytest.mark.parametrize("text", ["", "[]", "3", '{"key": "key"', "[" * 100_000, "\0"])
def test_what_is_no_journal_is_none(text, tmp_path):
    (tmp_path / "j").write_text(text)
    assert read_journal(tmp_path / "j", "key") == Journal("key")


def test_outputs_that_are_gone_empty_or_altered_are_told_from_whole_ones(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.csv", "c.zarr")]
    for path in paths[:2]:
        path.write_bytes(b"content")
    (paths[2] / "c").mkdir(parents=True)
    (paths[2] / "c" / "0").write_bytes(b"content")
    digests = output_digests(paths)
    assert altered_outputs(paths, digests) == []
    paths[0].write_bytes(b"")
    paths[1].write_bytes(b"CONTENT")
    (paths[2] / "c" / "0").unlink()
    assert altered_outputs(paths, digests) == ["a.png", "b.csv", "c.zarr"]
    shutil.rmtree(paths[2])
    assert "c.zarr" in altered_outputs(paths, digests)
    assert altered_outputs(paths, {}) == ["a.png", "b.csv", "c.zarr"]


@pytest.mark.parametrize(
    ("file", "intact"),
    [
        ("probability/c/0/0", 0),
        ("class/c/1/0", 0),
        ("probability/c/2/0", 1),
        ("probability/zarr.json", 0),
    ],
)
def test_only_bands_that_read_as_they_were_written_are_resumed_from(file, intact, tmp_path):
    """A chunk (256 rows) that is gone would read as background."""
    random = np.random.default_rng(0)
    store = ProbabilityStore.create(
        tmp_path / "s", 700, 40, microns_per_px=0.25, class_names=("a", "b"), rule=NucleusRule()
    )
    ends, digests = [300, 600, 700], []
    for top, end in ((0, 300), (300, 600), (600, 700)):
        level, classes = (random.integers(1, 255, (end - top, 40)).astype(np.uint8) for _ in range(2))
        store.write(top, Band(level, classes))
        digests.append(band_digest(Band(level, classes)))
    assert intact_bands(tmp_path / "s", ends, digests) == (300, 600, 700)
    assert intact_bands(tmp_path / "none", ends, digests) == ()
    path = tmp_path / "s" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert len(intact_bands(tmp_path / "s", ends, digests)) < 3
    path.unlink()
    assert intact_bands(tmp_path / "s", ends, digests) == tuple(ends[:intact])
