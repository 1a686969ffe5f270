import pytest

from nucseg_jax.config import config_fields
from nucseg_jax.config.data import DataConfig
from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.check import PANNUKE_SOURCES, check_source
from nucseg_jax.data.sources.table import SOURCES


@pytest.mark.parametrize("source", ["release", "folder", "consep", "monuseg"])
def test_a_source_that_reads_a_folder_needs_one(source):
    check_source(DataConfig(source, "data"))
    with pytest.raises(UserError, match=f"data.source is {source}, but data.release_dir is empty"):
        check_source(DataConfig(source, ""))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("field", "value"),
    [("patch_px", 128), ("microns_per_px", 0.5), ("image_microns_per_px", 0.5), ("remainder", "drop")],
)
def test_patches_that_nobody_cuts_cannot_be_cut_otherwise(source, field, value):
    config = DataConfig(source, "data", **{field: value})
    if source in PANNUKE_SOURCES:
        with pytest.raises(UserError, match=rf"data\.{field} is {value!r}"):
            check_source(config)
    else:
        check_source(config)


def test_every_source_of_the_config_has_a_row_in_the_table_of_sources():
    assert tuple(SOURCES) == config_fields()["data.source"].choices
    assert {source for source, opens in SOURCES.items() if opens is None} == set(PANNUKE_SOURCES)


def test_paths_are_those_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = DataConfig("folder", "~/images", "~/prepared")
    assert (config.release_folder, config.prepared_folder) == (tmp_path / "images", tmp_path / "prepared")
    assert DataConfig().release_folder is None
