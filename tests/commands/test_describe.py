import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def test_json_is_table_1_of_a_narrow_model_and_the_step_is_within_its_budget(command_line):
    """The compiled step may take 3.2 times the forward arithmetic: more means XLA makes work of its own."""
    status, out, err = command_line.run("describe", *command_line.config, "--json")
    assert status == 0, err
    facts = json.loads(out)
    assert facts["encoder"] == "resnet50"
    assert facts["parameters_total"] > facts["parameters_trainable"]
    assert 0 < facts["flops_train_step"] <= 3.2 * facts["flops_forward"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "total", "size_mb"),
    [("unet_resnet50", 15_676_865, 59.80), ("deeplabv3plus_resnet50", 30_462_849, 116.21)],
)
def test_paper_models_keep_the_budget(command_line, config, total, size_mb):
    status, out, err = command_line.run("describe", f"--config={ROOT / 'configs' / config}.py", "--json")
    assert status == 0, err
    facts = json.loads(out)
    assert (facts["parameters_total"], facts["size_mb"]) == (total, size_mb)
    assert facts["flops_train_step"] <= 3.2 * facts["flops_forward"]


def test_the_table_shows_the_overview_the_row_and_the_rule(command_line):
    status, out, err = command_line.run("describe", *command_line.config)
    assert status == 0, err
    assert "encoder/conv1_conv/kernel" in out
    assert "deeplabv3plus resnet50" in out
    assert "count_params" in out
