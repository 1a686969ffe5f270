"""A metric, a decoder or an encoder that the report has no words for is shown under its own name."""

import json
import shutil

import pytest

from nucseg_jax.evaluation import scores
from nucseg_jax.models.build import DECODERS, ENCODERS
from nucseg_jax.reporting.reading.configuration import make_cohorts
from nucseg_jax.reporting.reading.find import find_runs
from nucseg_jax.reporting.sections import scores as section


def test_a_metric_that_was_added_is_a_column_of_its_own_name(run_folders, make_page, monkeypatch, tmp_path):
    """Runs of before have no value for it."""
    added = scores.Metric("panoptic quality", scores.METRICS["dice"].ratio)
    monkeypatch.setattr(section, "METRICS", {**scores.METRICS, "panoptic_quality": added})
    document = make_page(str(run_folders / "scratch_*"), tmp_path / "report")
    (table,) = (block for block in document.all() if getattr(block, "name", "") == "metrics")
    assert table.headers[-1] == "panoptic quality"
    assert {row[-1].value for row in table.rows} == {None}


def name_of(run_folders, tmp_path, **fields) -> str:
    folder = tmp_path / "run"
    shutil.copytree(run_folders / "scratch_0", folder)
    config = json.loads((folder / "config.json").read_text())
    config["model"].update(fields)
    (folder / "config.json").write_text(json.dumps(config))
    (cohort,) = make_cohorts(find_runs(str(folder), not_in=tmp_path / "out").runs)
    return cohort.configurations[0].model


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_usual_stride_of_every_decoder_is_not_told(run_folders, tmp_path, decoder):
    usual = DECODERS[decoder].output_strides[0]
    name = name_of(run_folders, tmp_path, decoder=decoder, output_stride=usual)
    assert name == f"{DECODERS[decoder].title} ResNet-50"


def test_another_stride_is_told(run_folders, tmp_path):
    name = name_of(run_folders, tmp_path, decoder="deeplabv3plus_dilated", output_stride=8)
    assert name == "DeepLabV3+ (dilated) ResNet-50, stride 8"


def test_networks_of_another_version_keep_their_names(run_folders, tmp_path):
    name = name_of(run_folders, tmp_path, decoder="segformer", encoder="mit_b2", output_stride=32)
    assert name == "segformer mit_b2, stride 32"


def test_titles_tell_the_rows_apart():
    for table in (ENCODERS, DECODERS):
        assert len({row.title for row in table.values()}) == len(table)
