"""A lab's folder with any of its files damaged: patches that keep their promises, or one error."""

import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.dataset_info import VOID_LABEL
from nucseg_jax.data.sources.folder.source import open_folder
from nucseg_jax.data.sources.patch import OpenedSource, Patch
from tests.data.sources import lab
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import damaged

YAML = b"""name: ovary
microns_per_px: 0.25
classes: {tumour: "#c80000", other: }
unclassified: other
labels: instances
groups: {a: p1, b: p2}
"""
CSV = b"image,group,division\na.png,p1,train\nb,p2,test\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Two images of 40 x 50 px: ids with a class map and regions, and outlines with classes."""
    folder = tmp_path_factory.mktemp("lab")
    ids = lab.nuclei(40, 50)
    for name in "ab":
        lab.save_picture(folder / "images" / f"{name}.png", lab.picture(ids))
    lab.save_picture(folder / "labels" / "a.png", ids)
    lab.save_picture(folder / "classes" / "a.png", (ids > 0).astype(np.uint8))
    lab.save_picture(folder / "regions" / "a.png", np.pad(np.full((30, 40), 255, np.uint8), 5))
    lab.write_geojson(
        folder / "labels" / "b.geojson", ids, dict.fromkeys(np.unique(ids).tolist()[::2], "tumour")
    )
    (folder / "dataset.yaml").write_bytes(YAML)
    return folder


def read(folder: pathlib.Path) -> tuple[OpenedSource, list[Patch]]:
    source = open_folder(lab.folder_config(folder, patch_px=32))
    return source, list(source.patches())


def check(outcome) -> None:
    if isinstance(outcome, UserError):
        return
    source, patches = outcome
    assert len(patches) == source.patch_count
    for patch in patches:
        assert patch.image.shape == (32, 32, 3)
        assert (patch.image.dtype, patch.label.dtype, patch.instance.dtype) == (np.uint8, np.uint8, np.uint16)
        labels = set(np.unique(patch.label).tolist())
        assert labels <= {0, VOID_LABEL, *range(1, max(2, len(source.info.classes) + 1))}
        assert source.info.has_void or VOID_LABEL not in labels
        np.testing.assert_array_equal(patch.instance > 0, ~np.isin(patch.label, (0, VOID_LABEL)))
        assert set(np.unique(patch.instance)) | {0} == set(range(patch.instance.max() + 1))
        assert 0 <= patch.group < len(source.info.groups)
        assert patch.division in {"", *source.info.divisions}


def with_file(folder: pathlib.Path, scratch: pathlib.Path, name: str, content: bytes) -> pathlib.Path:
    """A copy of the folder with another file."""
    place = scratch / "lab"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    (place / name).write_bytes(content)
    return place


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("scratch")


def test_the_folder_itself_is_read(folder):
    source, patches = read(folder)
    check((source, patches))
    assert source.info.class_names == ("tumour", "other")
    assert len(patches) == 8


@fuzzed(50)
@given(damaged(YAML))
def test_a_damaged_description(folder, scratch, content):
    place = with_file(folder, scratch, "dataset.yaml", content)
    check(ends_well("dataset.yaml", lambda: read(place), folder=place))


@fuzzed(30)
@given(damaged(CSV))
def test_a_damaged_table_of_groups(folder, scratch, content):
    place = with_file(folder, scratch, "groups.csv", content)
    (place / "dataset.yaml").write_bytes(YAML.rpartition(b"groups")[0])
    check(ends_well("groups.csv", lambda: read(place), folder=place))


@fuzzed(50)
@given(st.data())
def test_any_damaged_file_of_an_image(folder, scratch, data):
    names = ["images/a.png", "labels/a.png", "classes/a.png", "regions/a.png", "labels/b.geojson"]
    name = data.draw(st.sampled_from(names))
    place = with_file(folder, scratch, name, data.draw(damaged((folder / name).read_bytes())))
    outcome = ends_well("folder of images", lambda: read(place), folder=place)
    check(outcome)
    if isinstance(outcome, UserError):
        assert pathlib.PurePath(name).name in str(outcome)
