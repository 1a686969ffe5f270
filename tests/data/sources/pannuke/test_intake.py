import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import patches, release
from nucseg_jax.data.sources.pannuke.audit import NO_CLASSES, Audit
from nucseg_jax.data.sources.pannuke.audit_table import render
from nucseg_jax.data.sources.pannuke.intake import Intake


def audit_of(release_dir, *, allow_duplicates=False):
    intake = Intake(allow_duplicates=allow_duplicates)
    for files in release.find(release_dir):
        assert [patch.index for patch in intake.read(patches.check_fold(files))] == [0, 1]
    return Audit(intake.audits(), {"kind": "release"})


def test_folds_with_the_same_patches_are_refused_unless_told(release_dir, change_fold, fold_arrays):
    change_fold(3, images=fold_arrays(2)["images"][::-1])  # Whatever their masks.
    found = (
        r"2 of the 2 patches of fold 3 are identical .* patch 0 of fold 3 is patch 1 of fold 2,"
        r" patch 1 of fold 3 is patch 0 of fold 2\..*data\.allow_duplicates=True"
    )
    with pytest.raises(UserError, match=f"(?s){found}"):
        audit_of(release_dir)
    audit = audit_of(release_dir, allow_duplicates=True)
    assert [fold.shared_patches for fold in audit.folds.values()] == [0, 0, 2]
    assert "Identical patches in two folds: patch 0 of fold 3 is patch 1 of fold 2" in render(audit)


def test_one_common_patch_is_found_and_one_grey_level_parts_them(release_dir, change_fold, fold_arrays):
    images = fold_arrays(3)["images"]
    images[1] = fold_arrays(1)["images"][0]
    change_fold(3, images=images)
    with pytest.raises(
        UserError, match=r"1 of the 2 patches of fold 3 .* patch 1 of fold 3 is patch 0 of fold 1"
    ):
        audit_of(release_dir)
    images[1, 0, 0, 0] ^= 1
    change_fold(3, images=images)
    assert sum(fold.shared_patches for fold in audit_of(release_dir).folds.values()) == 0


def test_a_repeat_within_a_fold_is_named_and_counted(release_dir, change_fold, fold_arrays, tmp_path):
    change_fold(2, images=fold_arrays(2)["images"][[0, 0]])
    audit = audit_of(release_dir)
    assert [fold.repeated_patches for fold in audit.folds.values()] == [0, 1, 0]
    assert "Identical patches within a fold: patch 1 of fold 2 is patch 0 of fold 2." in render(audit)


def test_masks_copied_from_another_fold_are_refused(release_dir, change_fold, fold_arrays):
    """The images are the fold's own, so that every label is wrong."""
    change_fold(3, masks=fold_arrays(1)["masks"])
    with pytest.raises(
        UserError, match=r"Most masks of fold 3 are those of fold 1, and their images are not"
    ):
        audit_of(release_dir)
    audit_of(release_dir, allow_duplicates=True)
    one = fold_arrays(1)["masks"]
    one[1] = 0
    one[1, ..., 5] = 1
    for fold in (1, 2, 3):
        change_fold(fold, masks=one)  # One shape everywhere is a drawing, not a copy.
    audit_of(release_dir)


def test_blank_patches_are_no_evidence(release_dir, change_fold, fold_arrays):
    for fold in (1, 2, 3):
        images = fold_arrays(fold)["images"]
        images[0] = 255
        change_fold(fold, images=images)
    assert "Identical" not in render(audit_of(release_dir))


@pytest.mark.parametrize("allow_duplicates", [False, True])
def test_a_fold_that_means_something_else_is_refused_after_its_last_patch(
    release_dir, change_fold, fold_arrays, allow_duplicates
):
    change_fold(2, masks=np.roll(fold_arrays(2)["masks"], 1, axis=-1))
    with pytest.raises(
        UserError, match=r"background channel of .*masks\.npy, the last, holds several numbers"
    ):
        audit_of(release_dir, allow_duplicates=allow_duplicates)


def test_nuclei_without_classes_are_called_so(release_dir, change_fold, fold_arrays, tmp_path):
    for fold in (1, 2, 3):
        masks = fold_arrays(fold)["masks"]
        masks[..., 0] = masks[..., :5].max(-1)
        masks[..., 1:5] = 0
        change_fold(fold, masks=masks)
    audit = audit_of(release_dir)
    audit.save(tmp_path)
    shown = render(audit) + (tmp_path / "audit.json").read_text()
    assert NO_CLASSES in shown
    assert "Neoplastic" not in shown
    assert not audit.has_classes
    change_fold(3, **fold_arrays(3))
    audit = audit_of(release_dir)
    assert audit.has_classes
    assert "Neoplastic" in render(audit)


def test_masks_without_numbers_and_folds_without_nuclei_are_named(release_dir, change_fold, fold_arrays):
    shown = render(audit_of(release_dir))
    assert "several pieces:" not in shown
    assert "no nucleus" not in shown
    for fold in (1, 2):
        change_fold(fold, masks=(fold_arrays(fold)["masks"] > 0).astype(np.uint8))
    masks = np.zeros_like(fold_arrays(3)["masks"])
    masks[..., 5] = 1
    change_fold(3, masks=masks)
    shown = render(audit_of(release_dir))
    assert "nuclei lie in several pieces: the labels seem to hold classes" in shown
    assert "Fold 3 has no nucleus." in shown
