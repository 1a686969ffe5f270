import os
import zipfile

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import release


def put(path, content=b"content"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def put_folds(folder, pattern, folds=(1, 2, 3), arrays=release.ARRAYS):
    for fold in folds:
        for array in arrays:
            put(folder / pattern.format(fold=fold, array=array))


def put_zip(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")


@pytest.mark.parametrize(
    "pattern",
    [
        "Fold {fold}/images/fold{fold}/{array}.npy",
        "Part {fold}/Images/{array}.npy",
        "a/b c/PART_{fold}/Masks/{array}.NPY",
        "pannuke-fold{fold}/{array}.npy",
        "2020/{fold}/data/{array}.npy",
    ],
)
def test_arrays_are_found_by_name_in_any_layout(tmp_path, pattern):
    put_folds(tmp_path, pattern)
    put(tmp_path / "README.md")
    put(tmp_path / "weights.npy")
    for number, files in enumerate(release.find(tmp_path), 1):
        assert files.fold == number
        for array in release.ARRAYS:
            assert getattr(files, array).path == tmp_path / pattern.format(fold=number, array=array)


def test_images_and_masks_may_lie_apart_and_in_zips(tmp_path):
    put_folds(tmp_path, "Part {fold}/Images/{array}.npy", arrays=("images", "types"))
    for fold in (1, 2, 3):
        put_zip(tmp_path / f"masks/FOLD_{fold}.ZIP", ["read.me", "__MACOSX/._masks.npy", "Masks.npy"])
    files = release.find(tmp_path)[1]
    assert str(files.masks) == f"{tmp_path / 'masks/FOLD_2.ZIP'} > Masks.npy"
    assert files.paths == (files.images.path, files.masks.path, files.types.path)


def test_files_go_before_zips_which_are_then_not_even_opened(tmp_path):
    put_folds(tmp_path, "Fold {fold}/{array}.npy")
    put(tmp_path / "fold_1.zip", b"half a download")
    assert not any(files.images.inside for files in release.find(tmp_path))


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    put_folds(tmp_path / "far", "Fold {fold}/{array}.npy")
    (tmp_path / "near").mkdir()
    os.symlink(tmp_path / "far", tmp_path / "near/link")
    os.symlink(tmp_path / "near", tmp_path / "near/loop")
    assert release.find(tmp_path / "near")[2].masks.path == tmp_path / "near/link/Fold 3/masks.npy"


def test_what_is_missing_and_what_was_found_is_listed(tmp_path):
    put_folds(tmp_path, "Fold {fold}/{array}.npy", folds=(1, 2))
    put(tmp_path / "Fold 3/images.npy")
    with pytest.raises(UserError) as caught:
        release.find(tmp_path)
    message = str(caught.value)
    assert "Not found: masks.npy of fold 3, types.npy of fold 3." in message
    assert str(tmp_path / "Fold 3/images.npy") in message
    assert "What to do" in message


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["fold1.npz", "fold2.npz", "fold3.npz", "fold4.npz"], r"\.npz\).*fold1\.npz, .* and 1 more"),
        (["Fold 1/images.npz", "Fold 1/masks.h5"], r"\.h5 and \.npz\).*Fold 1/images\.npz"),
        (["Fold 3/images.TIF"], r"\.tif\).*Fold 3/images\.TIF"),
        (["Fold 2/masks.zarr/c/0/0", "Fold 2/masks.zarr/zarr.json"], r"\.zarr\).*: Fold 2/masks\.zarr\."),
    ],
)
@pytest.mark.parametrize("folds", [(), (1, 2)])
def test_arrays_in_other_formats_are_named(tmp_path, names, found, folds):
    put_folds(tmp_path, "Fold {fold}/{array}.npy", folds=folds)
    for name in names:
        put(tmp_path / name)
    with pytest.raises(UserError, match=rf"(?s)Files of other kinds \({found}.*What to do: .*numpy\.save"):
        release.find(tmp_path)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "No array of the release was found"),
        (lambda folder: put(folder / "images.npy"), "belongs to no fold"),
        (lambda folder: put(folder / "Fold 4/images.npy"), "belongs to fold 4"),
        (lambda folder: put_folds(folder, "copy/Fold {fold}/{array}.npy"), "twice"),
        (
            lambda folder: put(folder / "fold_3.zip", b"PK\3\4 cut"),
            r"fold_3\.zip cannot be opened .* 8 bytes",
        ),
    ],
)
def test_a_folder_that_is_no_release_is_refused(tmp_path, prepare, message):
    prepare(tmp_path)
    if message == "twice":
        put_folds(tmp_path, "Fold {fold}/{array}.npy")
    with pytest.raises(UserError, match=message):
        release.find(tmp_path)


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path):
    put(tmp_path / "file")
    with pytest.raises(UserError, match="is not there"):
        release.find(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is a file"):
        release.find(tmp_path / "file")


def test_a_file_goes_before_the_same_array_in_a_zip_that_is_needed_for_another(tmp_path):
    put_folds(tmp_path, "Fold {fold}/{array}.npy", arrays=("images", "types"))
    for fold in (1, 2, 3):
        put_zip(tmp_path / f"fold_{fold}.zip", [f"{array}.npy" for array in release.ARRAYS])
    for files in release.find(tmp_path):
        assert (files.images.inside, files.types.inside, files.masks.inside) == ("", "", "masks.npy")
