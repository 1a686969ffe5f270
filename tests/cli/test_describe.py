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
    assert facts["encoder_end"] == "conv4_block1_out"
    assert facts["parameters_total"] == (
        facts["parameters_trainable"] + facts["parameters_moving"] + facts["parameters_constant"]
    )
    assert 0 < facts["flops_train_step"] <= 3.2 * facts["flops_forward"]


@pytest.mark.long
def test_without_a_config_it_is_the_papers_table_1_and_all_four_keep_the_budget(command_line):
    status, out, err = command_line.run("describe", "--json", timeout=900)
    assert status == 0, err
    rows = json.loads(out)
    assert [(row["parameters_total"], row["size_mb"], row["dropout"], row["l2"]) for row in rows] == [
        (15_676_865, 59.80, 0.7, 0.01),
        (14_932_072, 56.96, 0.5, 0.01),
        (30_462_849, 116.21, 0.7, 0.02),
        (14_306_600, 54.58, 0.25, 0.01),
    ]
    for row in rows:
        assert row["flops_train_step"] <= 3.2 * row["flops_forward"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["unet_five_levels_resnet50", "deeplabv3plus_dilated_resnet50"])
@pytest.mark.parametrize("encoder", ["resnet50_v1_5", "efficientnet_b4"])
def test_models_beyond_the_paper_keep_the_budget(command_line, name, encoder):
    config = [f"--config={ROOT / 'configs' / name}.py", f"--config.model.encoder={encoder}"]
    status, out, err = command_line.run("describe", *config, "--json")
    assert status == 0, err
    facts = json.loads(out)
    assert facts["flops_train_step"] <= 3.2 * facts["flops_forward"]


def test_the_table_shows_the_row_the_cut_and_the_rules_and_the_layers_on_request(command_line):
    status, out, err = command_line.run(
        "describe",
        *command_line.config,
        "--config.pretrained.run=runs/first",
        "--layers",
    )
    assert status == 0, err
    assert "encoder/conv1_conv/kernel" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["deeplabv3plus", "resnet50", "conv4_block1_out,", "stride", "16"] in [line[:5] for line in lines]
    assert "count_params" in out
    assert "First weights: the whole model of the run runs/first;" in out
