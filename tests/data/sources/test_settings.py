import pathlib

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.settings import KINDS, PANNUKE_KINDS, DataSource
from nucseg_jax.data.sources.table import SOURCES

HERE = pathlib.Path("data")


def source(kind, release_dir=HERE, **more):
    return DataSource(kind, release_dir, HERE, 5, 0, **more)


@pytest.mark.parametrize("kind", ["release", "folder", "consep", "monuseg"])
def test_a_source_that_reads_a_folder_needs_one(kind):
    source(kind)
    with pytest.raises(UserError, match=f"data.source is {kind}, but data.release_dir is empty"):
        source(kind, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("patch_px", 128), ("microns_per_px", 0.5), ("image_microns_per_px", 0.5), ("remainder", "drop")],
)
def test_patches_that_nobody_cuts_cannot_be_cut_otherwise(kind, field, value):
    if kind in PANNUKE_KINDS:
        with pytest.raises(UserError, match=rf"data\.{field} is {value!r}"):
            source(kind, **{field: value})
    else:
        assert getattr(source(kind, **{field: value}), field) == value


def test_every_kind_has_a_row_in_the_table_of_sources():
    assert tuple(SOURCES) == KINDS
    assert {kind for kind, opens in SOURCES.items() if opens is None} == set(PANNUKE_KINDS)
