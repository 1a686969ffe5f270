import dataclasses
import json

import numpy as np
import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import audit_table, facts, patches, release, vocabulary


def audit_of(release_dir):
    folds = {}
    for files in release.find(release_dir):
        tally = audits.FoldTally()
        for patch in patches.read_patches(patches.check_fold(files)):
            tally.add(patch)
        folds[files.fold] = tally.audit()
    return audits.Audit(folds, {"kind": "release"})


def full_size_audit():
    """An audit with PanNuke's official figures."""
    folds = {}
    left_by_class, left_by_tissue = dict(facts.NUCLEI_BY_CLASS), dict(facts.PATCHES_BY_TISSUE)
    for fold in vocabulary.FOLDS:
        is_last = fold == 3
        nuclei = {name: count if is_last else count // 3 for name, count in left_by_class.items()}
        nuclei["Neoplastic"] += facts.NUCLEI_BY_FOLD[fold] - sum(nuclei.values())
        tissues = {name: count if is_last else count // 3 for name, count in left_by_tissue.items()}
        for left, taken in ((left_by_class, nuclei), (left_by_tissue, tissues)):
            for name, count in taken.items():
                left[name] -= count
        folds[fold] = audits.FoldAudit(
            patches=facts.PATCHES_BY_FOLD[fold],
            nuclei=nuclei,
            empty_patches=facts.EMPTY_PATCHES_BY_FOLD[fold],
            void_patches=1, void_px=1, overlap_patches=1, overlap_px=1, hidden_nuclei=1,
            disconnected_nuclei=1, largest_id=3517, tissues=tissues, digest="0" * 64,
        )  # fmt: skip
    return audits.Audit(folds, {"kind": "download"})


def test_published_figures_agree_with_each_other():
    assert sum(facts.PATCHES_BY_FOLD.values()) == sum(facts.PATCHES_BY_TISSUE.values()) == 7901
    assert sum(facts.NUCLEI_BY_FOLD.values()) == sum(facts.NUCLEI_BY_CLASS.values()) == 189744
    assert sum(facts.EMPTY_PATCHES_BY_FOLD.values()) == 343
    assert tuple(facts.PATCHES_BY_TISSUE) == vocabulary.TISSUES
    assert [archive.name for archive in facts.ARCHIVES] == ["fold_1.zip", "fold_2.zip", "fold_3.zip"]
    assert all(archive.url == f"{facts.HOMEPAGE}/{archive.name}" for archive in facts.ARCHIVES)
    assert all(archive.algorithm == "sha256" for archive in facts.ARCHIVES)
    assert all(len(bytes.fromhex(archive.digest)) == 32 for archive in facts.ARCHIVES)


def test_counts_are_those_of_the_arrays(release_dir, change_fold, fold_arrays):
    masks = fold_arrays(3)["masks"]
    masks[1] = 0
    masks[1, ..., 5] = 1
    masks[0, 0, :7] = 0  # Seven void pixels.
    masks[0, 9, :5, :2] = 4000  # Five pixels of two classes, with the largest id.
    change_fold(3, masks=masks)
    fold = audit_of(release_dir).folds[3]
    claims = masks[..., :5] > 0
    assert (fold.patches, fold.empty_patches, fold.void_patches, fold.void_px) == (2, 1, 1, 7)
    assert fold.overlap_patches == 1
    assert fold.overlap_px == np.sum(claims.sum(-1) > 1) >= 5
    assert fold.largest_id == 4000
    assert list(fold.nuclei.values()) == [len(np.unique(masks[0, ..., c])) - 1 for c in range(5)]
    assert {name: count for name, count in fold.tissues.items() if count} == {"Breast": 1, "Bile-duct": 1}


def test_digest_sees_every_array_and_the_order(release_dir, change_fold, fold_arrays):
    digests = {audit_of(release_dir).digest}
    arrays = fold_arrays(1)
    images, masks = arrays["images"].copy(), arrays["masks"].copy()
    images[1, 255, 255, 2] ^= 1
    masks[1, 255, 255] = [0, 0, 0, 0, 77, 0]
    only = {channel: np.zeros_like(masks) for channel in (0, 1)}
    for channel, of_one_class in only.items():
        of_one_class[1, 50:60, 50:60, channel] = 5  # The same instance map, another class.
    for changed in (
        {"masks": only[0]},
        {"masks": only[1]},
        {"images": images},
        {"masks": masks},
        {"types": np.array(["Breast", "Skin"])},
        {name: array[::-1] for name, array in arrays.items()},
    ):
        change_fold(1, **{**arrays, **changed})
        digests.add(audit_of(release_dir).digest)
    assert len(digests) == 7
    change_fold(1, **arrays)
    assert audit_of(release_dir).digest in digests


def test_an_audit_is_read_back_as_it_was(release_dir, tmp_path):
    audit = audit_of(release_dir)
    audit.save(tmp_path)
    assert audits.load(tmp_path) == audit
    assert json.loads((tmp_path / "audit.json").read_text())["digest"] == audit.digest


def test_what_an_earlier_version_did_not_count_is_not_zero(tmp_path):
    full_size_audit().save(tmp_path)
    record = json.loads((tmp_path / "audit.json").read_text())
    for fold in record["folds"].values():
        for name in (
            "background_overlap_patches",
            "background_overlap_px",
            "repeated_patches",
            "shared_patches",
            "bright_nuclei_patches",
            "blue_nuclei_patches",
            "repeats",
        ):
            del fold[name]  # fmt: skip
    (tmp_path / "audit.json").write_text(json.dumps(record))
    table = audit_table.render(audits.load(tmp_path))
    (line,) = [line for line in table.splitlines() if line.startswith("patches of another fold")]
    assert line.split()[4:8] == ["-"] * 4
    assert "Prepared by an earlier version" in table


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"patches"', '"patched"'),
        lambda text: text.replace('"digest": "', '"digest": "0'),
        lambda text: "[]",
        lambda text: None,
    ],
)
def test_an_audit_that_was_changed_is_refused(tmp_path, spoil):
    full_size_audit().save(tmp_path)
    text = spoil((tmp_path / "audit.json").read_text())
    (tmp_path / "audit.json").unlink() if text is None else (tmp_path / "audit.json").write_text(text)
    with pytest.raises(UserError, match=r"audit\.json cannot be used.*(?s:.*)prepare the data again"):
        audits.load(tmp_path)


def test_a_set_of_full_size_is_compared_with_the_published_figures():
    audit = full_size_audit()
    table = audit_table.render(audit)
    assert "Every official figure agrees" in table
    fold = dataclasses.replace(audit.folds[2], nuclei={**audit.folds[2].nuclei, "Dead": 0})
    lost = audit.folds[2].nuclei["Dead"]
    table = audit_table.render(dataclasses.replace(audit, folds={**audit.folds, 2: fold}))
    assert "≠ 3 figures differ" in table
    assert f"nuclei, fold 2: {59_872 - lost:,}, published 59,872" in table
    assert f"Dead, all: {2908 - lost:,}, published 2,908" in table
    assert f"{189_744 - lost:,}≠" in table


def test_another_size_is_shown_beside_the_figures_without_a_verdict(release_dir):
    table = audit_table.render(audit_of(release_dir))
    assert "≠" not in table
    assert "for orientation" in table
    assert "No patch of the other 17 tissues." in table
    lines = table.splitlines()
    assert max(map(len, lines)) <= 100
    assert len({line.index("|") for line in lines if "|" in line}) == 1


@pytest.mark.parametrize(
    ("bright", "blue", "found"),
    [
        (0, 0, ""),
        (2, 2, ""),
        (0, 12, "fold 2 the nuclei are darker by more in blue than in red: the images seem to be BGR"),
        (0, 5, "labels seem to be shifted, turned or of other images"),
        (5, 0, "In 5 of 12 patches with nuclei of fold 2 the nuclei are not darker"),
        (12, 12, "or the images are inverted"),
    ],
)
def test_nuclei_that_do_not_look_like_nuclei_get_a_word(bright, blue, found):
    audit = full_size_audit()
    changed = dataclasses.replace(
        audit.folds[2], patches=15, empty_patches=3, bright_nuclei_patches=bright, blue_nuclei_patches=blue
    )
    table = audit_table.render(dataclasses.replace(audit, folds={**audit.folds, 2: changed}))
    assert (found in table) if found else ("the nuclei are" not in table)
    few = dataclasses.replace(
        changed, patches=2, empty_patches=0, bright_nuclei_patches=0, blue_nuclei_patches=2
    )
    assert "the nuclei are" not in audit_table.render(
        dataclasses.replace(audit, folds={**audit.folds, 2: few})
    )
