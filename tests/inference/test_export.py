"""An exported program needs nothing of this package, and says what the model says."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.part_by_hover import HoverParting
from nucseg_jax.heads.decoding.stored_rule import rule_from_json
from nucseg_jax.heads.table import HEADS
from nucseg_jax.inference.export import PLATFORMS, export_facts, export_model
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.models.initial import initial_variables
from nucseg_jax.ops.probability import foreground_probability
from nucseg_jax.ops.stain_normalization.stored_target import target_from_json, target_to_json
from nucseg_jax.ops.stain_normalization.target import pooled_target

LOADER = """
import sys
sys.modules["nucseg_jax"] = sys.modules["flax"] = None  # Whoever imports them fails.
import jax
import numpy as np
program = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
images = np.load(sys.argv[2])
np.savez(sys.argv[3], **{name: jax.jit(program.call)(image) for name, image in images.items()})
"""


def narrow(encoder, decoder, num_classes=1):
    depths = (1, 1, 1) if encoder == "resnet50" else (1, 1, 1, 1, 1)
    return build_segmenter(
        encoder=encoder,
        decoder=decoder,
        num_classes=num_classes,
        dropout=0.5,
        width=0.125,
        encoder_depths=depths,
    )


@pytest.mark.device
def test_it_runs_elsewhere_on_any_number_of_images_of_any_size(tmp_path):
    model = narrow("resnet50", "deeplabv3plus", num_classes=6)
    variables = initial_variables(model, 0)
    exported = export_model(model, variables, output_stride=16)
    assert exported.shape == "(n, 16*h, 16*w, 3)"
    (tmp_path / "program").write_bytes(exported.data)
    rng = np.random.default_rng(0)
    images = {
        "one": rng.integers(0, 256, (1, 64, 64, 3), np.uint8),
        "two": rng.integers(0, 256, (2, 32, 80, 3), np.uint8),
    }
    np.savez(tmp_path / "images.npz", **images)
    command = [
        sys.executable,
        "-c",
        LOADER,
        *(str(tmp_path / name) for name in ("program", "images.npz", "out.npz")),
    ]
    subprocess.run(command, check=True, env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"}, timeout=300)
    with np.load(tmp_path / "out.npz") as results:
        for name, image in images.items():
            logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, image)
            expected = foreground_probability(logits)
            assert np.asarray(expected).std() > 1e-3
            np.testing.assert_allclose(results[name], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("encoder", "decoder"), [("efficientnet_b4", "unet"), ("efficientnet_b4", "deeplabv3plus")]
)
def test_other_models_lower_for_every_platform_in_any_size(encoder, decoder):
    model = narrow(encoder, decoder)
    exported = export_model(model, initial_variables(model, 0), output_stride=16)
    program = jax.export.deserialize(bytearray(exported.data))
    assert program.platforms == PLATFORMS
    assert len({str(size) for size in program.in_avals[0].shape[:3]}) == 3


def test_beside_the_program_stand_the_names_of_its_channels_and_the_scale_of_its_images():
    info = DatasetInfo(
        "toy", (NucleusClass("a", (1, 2, 3)), NucleusClass("b", (4, 5, 6))), microns_per_px=0.5
    )
    images = "uint8 RGB (n, 16*h, 16*w, 3)"
    without = dict(head=HEADS["none"], rule=NucleusRule())
    facts = export_facts(images, info, num_classes=3, **without)
    assert (facts["microns_per_px"], facts["images"]) == (0.5, images)
    assert facts["channels"] == [{"name": "a", "color": [1, 2, 3]}, {"name": "b", "color": [4, 5, 6]}]
    binary = export_facts(images, info, num_classes=1, **without)
    assert [each["name"] for each in binary["channels"]] == ["Nucleus"]
    assert not {"maps", "stain_target"} & binary.keys()
    rule = NucleusRule(threshold=0.4, parting=HoverParting(depth=0.2))
    facts = export_facts(images, info, num_classes=1, head=HEADS["hover"], rule=rule)
    assert facts["maps"] == ["horizontal", "vertical"]
    assert rule_from_json(facts["nucleus_rule"]) == rule


def test_beside_the_program_stands_what_images_must_be_normalised_to():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    target = pooled_target("macenko", [image], 1)
    facts = export_facts(
        "uint8 RGB (n, 16*h, 16*w, 3)",
        DatasetInfo("toy", (), microns_per_px=0.5),
        **dict(num_classes=1, head=HEADS["none"], rule=NucleusRule(), stain=target),
    )
    assert target_to_json(target_from_json(facts["stain_target"])) == target_to_json(target)
