import csv
import pathlib
import shutil

import numpy as np
import pytest
import tifffile

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.monuseg import open_monuseg
from tests.data.sources import lab

SLIDES = pathlib.Path(__file__).resolve().parents[3] / "configs" / "monuseg_slides.csv"


def write_slide(images, annotations, name: str, *, seed: int = 0, microns: float = 0.252) -> np.ndarray:
    ids = lab.nuclei(100, 100, seed=seed)
    images.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(images / f"{name}.tif", lab.picture(ids), photometric="rgb")
    lab.write_xml(annotations / f"{name}.xml", ids, microns_per_px=microns)
    return ids


def test_patches_of_the_original_slides_are_those_of_the_run_on_real_patches(shared):
    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        stored = {name: data[name] for name in ("image", "instance", "slide", "y", "x")}
    source = open_monuseg(
        lab.folder_config(shared / "data" / "monuseg_original", patch_px=256, remainder="drop")
    )
    assert source.patch_count == 36
    assert source.info.classes == ()
    assert not source.info.has_void
    assert source.info.groups == ("TCGA-B0-5698", "TCGA-B0-5710", "TCGA-CH-5767", "TCGA-G9-6362")
    both, either, counts = 0, 0, []
    for patch in source.patches():
        where = (
            (stored["slide"] == patch.image_name[5:12])
            & (stored["y"] == patch.top)
            & (stored["x"] == patch.left)
        )
        (row,) = np.flatnonzero(where)
        np.testing.assert_array_equal(patch.image, stored["image"][row])
        own, other = patch.instance > 0, stored["instance"][row] > 0
        both += int((own & other).sum())
        either += int(own.sum() + other.sum())
        counts.append((patch.instance.max(), len(np.unique(stored["instance"][row])) - 1))
    # Those were drawn with the centres of pixels at whole coordinates, half a pixel further to the lower right.
    assert 2 * both / either > 0.95
    ours, theirs = np.sum(counts, axis=0)
    assert abs(int(ours) - int(theirs)) < 0.01 * theirs


def test_training_and_test_set_are_found_in_the_folders_of_the_archives(tmp_path):
    place = tmp_path / "MoNuSeg 2018 Training Data"
    # What a slide's own scanner had counts for nothing: all are read as one resolution.
    ids = write_slide(
        place / "Tissue Images", place / "Annotations", "TCGA-AA-0001-01Z-00-DX1", microns=0.2325
    )
    write_slide(place / "Tissue Images", place / "Annotations", "TCGA-AA-0001-01Z-00-DX2", seed=1)
    test = tmp_path / "MoNuSegTestData"
    write_slide(test, test, "TCGA-BB-0002-01A-01-TS1", seed=2)
    source = open_monuseg(lab.folder_config(tmp_path))
    assert source.info.divisions == ("train", "test")
    assert source.info.groups == ("TCGA-AA-0001", "TCGA-BB-0002")
    patches = list(source.patches())
    assert {(patch.image_name[:12], patch.group, patch.division) for patch in patches} == {
        ("TCGA-AA-0001", 0, "train"),
        ("TCGA-BB-0002", 1, "test"),
    }
    np.testing.assert_array_equal(patches[0].label, ids[:64, :64] > 0)
    shutil.move(place / "Tissue Images", tmp_path / "Tissue images")
    shutil.move(place / "Annotations", tmp_path / "annotations")
    shutil.rmtree(test)
    assert open_monuseg(lab.folder_config(tmp_path)).patch_count == 8


def test_what_is_not_as_published_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no MoNuSeg"):
        open_monuseg(lab.folder_config(tmp_path))
    write_slide(tmp_path / "Tissue Images", tmp_path / "Annotations", "TCGA-AA-0001-01Z-00-DX1")
    (tmp_path / "Annotations" / "TCGA-AA-0001-01Z-00-DX1.xml").rename(tmp_path / "Annotations" / "b.xml")
    with pytest.raises(
        UserError, match=r"1 file of labels without an image: b\.xml; 1 image without a label: TCGA"
    ):
        open_monuseg(lab.folder_config(tmp_path))


def test_the_table_of_slides_is_the_division_of_the_run_on_real_patches(shared):
    with np.load(shared / "data" / "monuseg_folds.npz") as data:
        stored = dict(
            zip(
                data["slide"].tolist(),
                zip(data["fold"].tolist(), data["tissue"].tolist(), strict=True),
                strict=True,
            )
        )
    with SLIDES.open() as file:
        rows = list(csv.DictReader(file))
    assert {
        row["image"].removeprefix("TCGA-"): (int(row["fold"]), row["organ"].capitalize()) for row in rows
    } == stored
    assert {(row["fold"], row["division"]) for row in rows} == {
        ("1", "train"),
        ("2", "validation"),
        ("3", "test"),
    }
