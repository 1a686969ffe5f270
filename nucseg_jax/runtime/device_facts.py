"""Limits of devices: peak arithmetic and memory bandwidth by device kind.

Dense figures, without sparsity, from the makers' data sheets. float32 is what XLA does with float32 convolutions
by default: TF32 tensor cores on NVIDIA from Ampere on, one bfloat16 pass on TPU.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DeviceFacts:
    """Limits of one device.

    Attributes:
      bfloat16_flops, float32_flops: operations a second, 2 a multiply-add; None = it has no such unit.
      bytes_per_second: of its main memory.
    """

    bfloat16_flops: float | None
    float32_flops: float
    bytes_per_second: float

    def peak_flops(self, dtype: str) -> float | None:
        """Returns the peak arithmetic in 'bfloat16' or 'float32'."""
        return self.bfloat16_flops if dtype == "bfloat16" else self.float32_flops


# Part of JAX's `device_kind`, more special ones first.
DEVICES = {
    # NVIDIA H200 and H100 Tensor Core GPU data sheets.
    "H200": DeviceFacts(989e12, 494e12, 4.8e12),
    "H100 PCIe": DeviceFacts(756e12, 378e12, 2.0e12),
    "H100 NVL": DeviceFacts(835e12, 418e12, 3.9e12),
    "H100": DeviceFacts(989e12, 494e12, 3.35e12),
    # NVIDIA A100 data sheet (40 GB: A100 40 GB data sheet of 2020).
    "A100-PCIE-40GB": DeviceFacts(312e12, 156e12, 1.555e12),
    "A100-SXM4-40GB": DeviceFacts(312e12, 156e12, 1.555e12),
    "A100 80GB PCIe": DeviceFacts(312e12, 156e12, 1.935e12),
    "A100": DeviceFacts(312e12, 156e12, 2.039e12),
    # NVIDIA V100 data sheet, SXM2; it has tensor cores for float16 only.
    "V100": DeviceFacts(None, 15.7e12, 0.9e12),
    # NVIDIA L4 and L40S data sheets, halved where they quote sparsity.
    "L40S": DeviceFacts(362e12, 183e12, 0.864e12),
    "L4": DeviceFacts(121e12, 60e12, 0.3e12),
    # NVIDIA Ada (RTX 4090), Ampere (RTX 3090) and Blackwell (RTX 5090) GPU architecture papers, float32 accumulation.
    "RTX 5090": DeviceFacts(209.5e12, 104.8e12, 1.792e12),
    "RTX 4090": DeviceFacts(165.2e12, 82.6e12, 1.008e12),
    "RTX 3090": DeviceFacts(71e12, 35.6e12, 0.936e12),
    # NVIDIA RTX 6000 Ada and RTX A6000 data sheets.
    "RTX 6000 Ada": DeviceFacts(364.2e12, 182.1e12, 0.96e12),
    "RTX A6000": DeviceFacts(154.8e12, 77.4e12, 0.768e12),
    # Google Cloud TPU system architecture pages; one device is one chip.
    "TPU v6 lite": DeviceFacts(918e12, 918e12, 1.64e12),
    "TPU v5 lite": DeviceFacts(197e12, 197e12, 0.819e12),
    "TPU v5": DeviceFacts(459e12, 459e12, 2.765e12),
    "TPU v4": DeviceFacts(275e12, 275e12, 1.228e12),
}


def device_facts(device_kind: str) -> DeviceFacts | None:
    """The row of a device, None for one that is not in the table, such as a CPU.

    >>> device_facts("NVIDIA H100 80GB HBM3").bytes_per_second
    3350000000000.0
    """
    return next((facts for part, facts in DEVICES.items() if part in device_kind), None)
