"""A release of three folds with one damaged file, or with a hostile zip."""

import io
import math
import os
import pathlib
import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.data.sources.pannuke import release
from nucseg_jax.data.sources.pannuke.intake import Intake
from nucseg_jax.data.sources.pannuke.patches import check_fold, read_patches
from nucseg_jax.data.sources.pannuke.vocabulary import TISSUES
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import damaged

ARRAYS = ("images", "masks", "types")


def array(name: str, patches: int) -> np.ndarray:
    if name == "types":
        return np.full(patches, TISSUES[0])
    drawn = np.zeros((patches, 256, 256, 3 if name == "images" else 6), np.uint8)
    drawn[:, 100:120, 90:130, 0] = 255 if name == "images" else 7
    if name == "masks":
        drawn[..., 5] = drawn[..., 0] == 0
    return drawn


def saved(name: str, patches: int = 1) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array(name, patches))
    return stream.getvalue()


CONTENT = {name: saved(name) for name in ARRAYS}


def zipped(content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return stream.getvalue()


def fold_zip(fold: int, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    return zipped(
        {f"Fold {fold}/{name}/fold{fold}/{name}.npy": CONTENT[name] for name in ARRAYS}, compression
    )


ZIPS = {
    compression: fold_zip(2, compression)
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pathlib.Path:
    """Folds 1 and 3."""
    folder = tmp_path_factory.mktemp("whole")
    for fold in (1, 3):
        (folder / f"fold_{fold}.zip").write_bytes(fold_zip(fold))
    return folder


def read_release(folder: pathlib.Path) -> int:
    folds = [check_fold(files) for files in release.find(folder)]
    return sum(patch.label.size for patch in Intake(allow_duplicates=False).read(folds[1]))


def read_dark_release(folder: pathlib.Path) -> int:
    folds = [check_fold(files) for files in release.find(folder)]
    return sum(patch.label.size for patch in read_patches(folds[1]))


def with_fold_2(whole: pathlib.Path, files: dict[str, bytes], name: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root) / "release"
        folder.mkdir()
        for path in whole.iterdir():
            os.link(path, folder / path.name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        before = sorted(pathlib.Path(root).rglob("*"))
        ends_well(name, lambda: read_release(folder), folder=folder)
        assert sorted(pathlib.Path(root).rglob("*")) == before


@fuzzed(cases=30)
@given(content=st.sampled_from(sorted(ZIPS)).flatmap(lambda compression: damaged(ZIPS[compression])))
def test_a_release_with_a_damaged_zip_is_read_or_refused(whole, content):
    with_fold_2(whole, {"fold_2.zip": content}, "damaged zips of a release")


@fuzzed(cases=30)
@given(which=st.sampled_from(ARRAYS), data=st.data())
def test_a_release_with_a_damaged_array_is_read_or_refused(whole, which, data):
    content = {**CONTENT, which: data.draw(damaged(CONTENT[which]))}
    with_fold_2(
        whole, {f"Fold 2/{name}.npy": value for name, value in content.items()}, "damaged arrays of a release"
    )


NAMES = st.one_of(
    st.sampled_from(
        [
            f"{where}Fold 2/{name}.npy"
            for name in ARRAYS
            for where in ("", "../../", "/", "C:\\", "..\\", "./", "x/" * 300)
        ]
        + [
            "Fold 1/images.npy",
            "Fold 9/masks.npy",
            "images.npy",
            "/",
            "a" * 60_000 + ".npy",
            "Fold 2/types.npy/",
        ]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=30),
)


@fuzzed(cases=30)
@given(
    names=st.lists(NAMES, min_size=1, max_size=6),
    arrays=st.lists(st.sampled_from(ARRAYS), min_size=6, max_size=6),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_any_name_are_read_in_place_or_refused(whole, names, arrays):
    content = {name: CONTENT[array] for name, array in zip(names, arrays, strict=False)}
    with_fold_2(whole, {"fold_2.zip": zipped(content)}, "names in a release's zip")


def test_a_bomb_takes_neither_memory_nor_disk(whole, tmp_path):
    """Zeros, a thousandfold packed, are read row by row and never unpacked."""
    patches = 150
    bomb = {"Fold 2/types.npy": saved("types", patches)}
    for name in ("images", "masks"):
        shape = (patches, *array(name, 0).shape[1:])
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        bomb[f"Fold 2/{name}.npy"] = header.getvalue() + bytes(math.prod(shape))
    (tmp_path / "fold_2.zip").write_bytes(zipped(bomb))
    assert (tmp_path / "fold_2.zip").stat().st_size < sum(map(len, bomb.values())) / 500
    del bomb
    for path in whole.iterdir():
        os.link(path, tmp_path / path.name)
    assert ends_well("bombs", lambda: read_dark_release(tmp_path), folder=tmp_path) == patches * 256 * 256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold_1.zip", "fold_2.zip", "fold_3.zip"]
