"""Configs with values of any kind: an experiment, or one error."""

import importlib
import json
import pathlib
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.config import read_config
from nucseg_jax.core.errors import UserError
from nucseg_jax.experiment import Experiment, read_experiment, read_experiment_file
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import JSON, altered, damaged

CONFIGS = ("base", "quickstart", "unet_efficientnet_b4", "deeplabv3plus_resnet50")


@pytest.fixture(scope="module")
def values() -> dict[str, dict]:
    return {
        name: json.loads(importlib.import_module(f"configs.{name}").get_config().to_json())
        for name in CONFIGS
    }


@fuzzed(cases=100)
@given(name=st.sampled_from(CONFIGS), data=st.data())
def test_an_altered_config_is_an_experiment_or_refused(values, tmp_path_factory, name, data):
    config = data.draw(altered(values[name]))
    outcome = ends_well(
        "altered configs", lambda: read_experiment(config), folder=tmp_path_factory.getbasetemp()
    )
    assert isinstance(outcome, Experiment | UserError)
    if isinstance(outcome, Experiment):
        assert read_config(outcome.config.as_json()) == outcome.config


@fuzzed(cases=30)
@given(config=JSON)
def test_any_json_is_refused(tmp_path_factory, config):
    outcome = ends_well(
        "JSON for a config", lambda: read_experiment(config), folder=tmp_path_factory.getbasetemp()
    )
    assert isinstance(outcome, UserError)


@fuzzed(cases=40)
@given(data=st.data())
def test_a_damaged_config_of_a_run_is_read_or_refused(values, data):
    content = data.draw(damaged(json.dumps(values["base"], indent=2).encode()))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "config.json"
        path.write_bytes(content)
        ends_well("config.json of runs", lambda: read_experiment_file(path), folder=path.parent)
