"""The summary against the definitions, computed image by image."""

import csv

import numpy as np
import pytest

from nucseg_jax.evaluation.robustness.cell_scores import COLUMNS, CellScores
from nucseg_jax.evaluation.robustness.cells import CLEAN, cells_of
from nucseg_jax.evaluation.robustness.summary import summarise
from nucseg_jax.evaluation.robustness.tables import ScoredSplit, write_cells, write_images

CELLS = cells_of(["noise", "hue"])


def random_counts(seed, images=12):
    return np.random.default_rng(seed).integers(1, 200, (len(CELLS), images, 4))


def dice_of(counts):
    tp, fp, fn, _ = counts.sum(axis=0)
    return 2 * tp / (2 * tp + fp + fn)


def test_rows_are_means_over_severities_then_kinds():
    counts = random_counts(0)
    dice = [dice_of(each) for each in counts]
    noise, hue = np.mean(dice[1:6]), np.mean(dice[6:])
    found = summarise(CELLS, counts)
    estimates = {row: entry["estimate"] for row, entry in found["run"].items()}
    assert estimates == pytest.approx(
        {
            "clean": dice[0],
            "mean_corrupted": (noise + hue) / 2,
            "retained": (noise + hue) / 2 / dice[0],
            "noise": noise,
            "hue": hue,
        }
    )
    assert found["worst_kind"] == ("noise" if noise < hue else "hue")
    assert all(entry["low"] < entry["estimate"] < entry["high"] for entry in found["run"].values())
    assert "mce" not in found


def test_mce_is_that_of_imagenet_c_with_one_minus_dice_as_the_error():
    run, other = random_counts(1), random_counts(2)
    errors, others = ([1 - dice_of(each) for each in counts] for counts in (run, other))
    slow = np.mean([sum(errors[1:6]) / sum(others[1:6]), sum(errors[6:]) / sum(others[6:])])
    found = summarise(CELLS, run, other)
    assert found["mce"]["estimate"] == pytest.approx(slow)
    assert found["mce"]["low"] < slow < found["mce"]["high"]
    difference = found["difference"]["mean_corrupted"]["estimate"]
    assert difference == pytest.approx(
        found["run"]["mean_corrupted"]["estimate"] - found["baseline"]["mean_corrupted"]["estimate"]
    )


def test_a_run_against_itself_differs_nowhere():
    """The differences are paired: of the same images in each resample."""
    counts = random_counts(3)
    found = summarise(CELLS, counts, counts)
    assert found["mce"] == pytest.approx({"estimate": 1, "low": 1, "high": 1})
    assert all(entry == {"estimate": 0, "low": 0, "high": 0} for entry in found["difference"].values())


def test_images_that_nobody_annotated_count_nowhere_and_what_is_undefined_is_none():
    counts = random_counts(4)
    more = np.concatenate([counts, np.zeros_like(counts[:, :3])], axis=1)
    assert summarise(CELLS, more) == summarise(CELLS, counts)
    nothing = summarise(CELLS, counts * 0)
    assert nothing["worst_kind"] is None
    assert nothing["run"]["retained"]["estimate"] is None


def test_the_clean_cell_alone_gives_its_row_alone():
    found = summarise([CLEAN], random_counts(5)[:1], random_counts(6)[:1])
    assert {block: list(rows) for block, rows in found.items()} == {
        block: ["clean"] for block in ("run", "baseline", "difference")
    }


def test_tables_have_a_row_for_each_cell_and_each_image(tmp_path):
    counts = random_counts(7, images=3)
    patches = np.array([[1, 5], [1, 6], [3, 0]])
    cells = {
        cell: CellScores(dict.fromkeys(COLUMNS) | {"dice_micro": number / 20}, of_cell)
        for number, (cell, of_cell) in enumerate(zip(CELLS, counts, strict=True))
    }
    split = ScoredSplit("run", "test", patches, cells)
    write_cells(tmp_path / "cells.csv", [split])
    write_images(tmp_path / "images.csv", [split])
    with (tmp_path / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    assert [rows[3][name] for name in ("kind", "severity", "value", "images", "dice_micro", "bpq_image")] == [
        *("noise", "3", "12", "3", "0.150000", ""),
    ]
    assert rows[0]["value"] == ""
    with (tmp_path / "images.csv").open() as file:
        images = list(csv.DictReader(file))
    assert len(images) == 33
    assert [int(images[11][name]) for name in ("index", "fold", "row", "tp", "fn")] == [
        *(2, 3, 0, counts[3, 2, 0], counts[3, 2, 2]),
    ]
