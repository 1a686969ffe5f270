import pytest

from nucseg_jax.runtime.device_facts import DEVICES, device_facts


@pytest.mark.parametrize(
    ("kind", "bfloat16_tflops", "terabytes_per_second"),
    [
        ("NVIDIA H200", 989, 4.8),
        ("NVIDIA H100 80GB HBM3", 989, 3.35),
        ("NVIDIA H100 PCIe", 756, 2.0),
        ("NVIDIA A100-SXM4-40GB", 312, 1.555),
        ("NVIDIA A100-SXM4-80GB", 312, 2.039),
        ("NVIDIA L40S", 362, 0.864),
        ("NVIDIA L4", 121, 0.3),
        ("NVIDIA GeForce RTX 4090", 165.2, 1.008),
        ("TPU v5 lite", 197, 0.819),
        ("TPU v5p", 459, 2.765),
        ("TPU v6 lite", 918, 1.64),
    ],
)
def test_device_kinds_as_jax_says_them_find_their_row(kind, bfloat16_tflops, terabytes_per_second):
    facts = device_facts(kind)
    assert facts.peak_flops("bfloat16") == pytest.approx(bfloat16_tflops * 1e12)
    assert facts.bytes_per_second == pytest.approx(terabytes_per_second * 1e12)


def test_what_is_not_in_the_table_is_not_guessed():
    assert device_facts("cpu") is None
    assert device_facts("Tesla V100-SXM2-16GB").peak_flops("bfloat16") is None
    assert device_facts("Tesla V100-SXM2-16GB").peak_flops("float32") == 15.7e12


def test_no_row_hides_a_more_special_one():
    for kind, facts in DEVICES.items():
        assert device_facts(kind) is facts, kind
