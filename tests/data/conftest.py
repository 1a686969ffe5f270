"""A release of six small-valued patches, written as a user would have it, and ways to damage it."""

import pathlib
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

FOLDS = (1, 2, 3)
Arrays = dict[str, np.ndarray]


def make_arrays(fold: int, num_patches: int = 2) -> Arrays:
    """A few rectangles as nuclei on noise; ids differ from fold to fold."""
    rng = np.random.default_rng(fold)
    masks = np.zeros([num_patches, 256, 256, 6], np.int32)
    for patch in masks:
        for nucleus in range(1, 9):
            row, column = rng.integers(0, 230, 2)
            patch[row : row + 20, column : column + 25, rng.integers(5)] = nucleus * 10 + fold
        patch[..., 5] = patch[..., :5].max(-1) == 0
    return {
        "images": rng.integers(0, 256, [num_patches, 256, 256, 3]).astype(np.uint8),
        "masks": masks,
        "types": np.array(["Breast", "Bile-duct"] * num_patches)[:num_patches],
    }


def save_arrays(folder: pathlib.Path, fold: int, arrays: Arrays) -> None:
    for name, array in arrays.items():
        where = folder / f"Fold {fold}" / ("masks" if name == "masks" else "images") / f"fold{fold}"
        where.mkdir(parents=True, exist_ok=True)
        np.save(where / f"{name}.npy", array)


@pytest.fixture
def release_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three unpacked folds of two patches each."""
    folder = tmp_path / "release"
    for fold in FOLDS:
        save_arrays(folder, fold, make_arrays(fold))
    return folder


@pytest.fixture
def change_fold(release_dir: pathlib.Path) -> Callable[..., None]:
    """Writes arrays of one fold anew: change_fold(2, images=array)."""
    return lambda fold, **arrays: save_arrays(release_dir, fold, arrays)


@pytest.fixture
def zip_release() -> Callable[[pathlib.Path, pathlib.Path], None]:
    """Packs the folds of a release into fold_1.zip .. fold_3.zip of another folder."""

    def pack(source: pathlib.Path, out: pathlib.Path) -> None:
        out.mkdir()
        for fold in FOLDS:
            with zipfile.ZipFile(
                out / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
            ) as archive:
                for path in sorted((source / f"Fold {fold}").rglob("*.npy")):
                    archive.write(path, path.relative_to(source))

    return pack


@pytest.fixture
def fold_arrays() -> Callable[..., Arrays]:
    """The arrays that `release_dir` holds of a fold."""
    return make_arrays
