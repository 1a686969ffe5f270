import numpy as np
import pytest

from nucseg_jax.cli.table import render, results_table
from nucseg_jax.data.sources.pannuke.info import PANNUKE
from nucseg_jax.evaluation.counts import Counts
from nucseg_jax.evaluation.scores import conventions


def results_of(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    counts = Counts.from_batch(
        counts=rng.integers(0, 900, (20, 1, 4)),
        index=np.arange(20),
        group=rng.integers(0, 4, 20),
        losses={"dice_loss": rng.random(20, np.float32)},
        valid=np.ones(20, bool),
    )
    return {**counts.scores(PANNUKE), "loss": 0.3212, **counts.mean_losses(), "l2_penalty": 0.02}


def test_columns_are_aligned_and_undefined_is_a_dash():
    lines = render(("name", "value"), [("a long name", "0.5"), (), ("b", None)]).splitlines()
    assert lines == [
        "name         value",
        "------------------",
        "a long name    0.5",
        "",
        "b                -",
    ]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 cells; there are 2 headers"):
        render(("a", "b"), [("only",)])


def test_every_score_is_shown_where_it_belongs_and_fits_the_terminal():
    results = {split: results_of(seed) for seed, split in enumerate(("train", "validation", "test"))}
    baselines = {"Otsu, hematoxylin": {"test": results_of(7)}, "all foreground": {"test": results_of(8)}}
    lines = results_table(results, baselines, group_noun="tissue").splitlines()
    assert max(map(len, lines)) <= 100
    headers = lines[0].split()
    found, name = {}, ""
    for line in lines[2 : lines.index(next(line for line in lines if "l2_penalty" in line))]:
        name = line[:19].strip() or name
        if line and "std" not in line:
            convention, *values = line[19:].split()
            found[name, convention] = dict(zip(headers[2:], values, strict=True))
    expected = {split: results[split] for split in results} | {
        name: baselines[name]["test"] for name in baselines
    }
    assert found == {
        (name, convention): {column: f"{scored[convention][column]:.4f}" for column in headers[2:]}
        for name, scored in expected.items()
        for convention in conventions(PANNUKE)
    }
    assert lines[-1].split() == ["test", "0.3212", f"{results['test']['dice_loss']:.4f}", "0.0200"]


def test_undefined_scores_and_missing_parts():
    empty = Counts.empty().scores(PANNUKE)
    shown = results_table({"test": empty}, group_noun="tissue")
    assert "None" not in shown
    assert "nan" not in shown
    assert shown.splitlines()[2].split() == ["test", "micro", *"------"]
    assert results_table({}, group_noun="tissue") == ""


def test_pooled_scores_with_other_statistics_stand_under_their_split():
    others = {"batch_statistics": results_of(1), "reestimated_statistics": results_of(2)}
    shown = results_table({"test": {**results_of(0), **others}}, group_noun="tissue")
    for seed, name in ((1, "each batch's statistics"), (2, "re-estimated statistics")):
        (line,) = (line for line in shown.splitlines() if name in line)
        assert "micro" in line
        assert f"{results_of(seed)['micro']['dice']:.4f}" in line
    assert shown.count("image_skip") == 1
