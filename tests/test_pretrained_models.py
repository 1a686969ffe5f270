"""The models that come with the package are whole, small, described, and find nuclei."""

import numpy as np
import pytest

from nucseg_jax.load import load_run
from nucseg_jax.model_folder.facts import first_line
from nucseg_jax.model_folder.folder import read_model_folder
from nucseg_jax.model_folder.named import model_names, models_folder

LARGEST_BYTES = 8_000_000


def test_there_is_one():
    assert "small" in model_names()


@pytest.mark.parametrize("name", model_names())
def test_each_is_whole_small_and_described(name):
    folder = read_model_folder(models_folder() / name)
    assert sum(file.stat().st_size for file in (models_folder() / name).iterdir()) <= LARGEST_BYTES
    assert folder.facts.scores["micro"]["dice"] > 0.5
    card = folder.card.read_text(encoding="utf-8")
    for part in ("## Scores", "## Where it fails", "## Repeat it", "## Limits", "launch.py train"):
        assert part in card
    assert folder.facts.licence
    assert first_line(folder.facts.licence) in card


def test_small_finds_nuclei_as_its_card_has_it(shared):
    """Micro Dice on the first eight images of BBBC038, at their own resolution; the limits leave room for rounding."""
    data = np.load(shared / "data" / "dsb2018_histology.npz")
    model = load_run("small")
    both = sums = 0
    for image, instance in zip(data["image"][:8], data["instance"][:8], strict=True):
        found = model.predict(image, microns_per_px=0.25).nuclei > 0
        both += int((found & (instance > 0)).sum())
        sums += int(found.sum() + (instance > 0).sum())
    assert 2 * both / sums == pytest.approx(0.672, abs=0.01)
