"""What XLA's compiler makes of the paper's models for a GPU, on a machine that has none.

    pip install --no-deps --target=FOLDER jax-cuda12-pjrt==VERSION jax-cuda12-plugin==VERSION
    PYTHONPATH=FOLDER python -m benchmarks.accelerator.ahead --model=unet_resnet50 [--dtype=bfloat16] [--card=H100]
        [--work=training] [--batch_size=8] [--px=256] [--hlo=FILE]

VERSION is that of the installed jax. Compiles for a described H100, without trying algorithms, and
prints the kernels with their bytes and operations, and the least time that each takes by the data sheet of --card. It
takes one to four minutes of a core. Nothing runs: the sum is what memory and arithmetic allow, without launches and
caches.
"""

import argparse
import importlib
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

# An H100 SXM as XLA describes it to itself.
TARGET = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84929347584 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
DEAREST = 15


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator.ahead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="name of a config")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--card", default="H100", help="part of a name in nucseg_jax/runtime/device_facts.py")
    parser.add_argument("--work", choices=("training", "inference"), default="training")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--px", type=int, default=256)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument(
        "--hlo", type=pathlib.Path, help="write the compiled program here; read it if it is there"
    )
    return parser.parse_args(arguments)


def described_mesh() -> Any:
    """Returns a mesh of the described GPU.

    Raises:
      NotImplementedError: the CUDA plugin of JAX is not installed.
    """
    import jax
    import numpy as np
    from jax.experimental import topologies

    from nucseg_jax.runtime.mesh import AXES

    topology = topologies.get_topology_desc(
        platform="cuda", topology_name="described", target_config=TARGET, topology="1x1x1"
    )
    return jax.sharding.Mesh(np.array(topology.devices).reshape(1, 1, 1), AXES)


def compiled_text(options: argparse.Namespace) -> str:
    """Returns the optimized HLO of a program."""
    from benchmarks.accelerator.programs import inference_program, training_program
    from nucseg_jax.ops.lowering import traced_for

    config = importlib.import_module(f"configs.{options.model}").get_config()
    config.train.dtype, config.model.width = options.dtype, options.width
    size = dict(batch_size=options.batch_size, px=options.px)
    mesh = described_mesh()
    with traced_for("cuda"):
        if options.work == "training":
            jitted, arguments = training_program(config, mesh, steps=1, **size)
        else:
            jitted, arguments = inference_program(config, mesh, **size)
        traced: Any = jitted
        return str(traced.trace(*arguments).lower(lowering_platforms=("cuda",)).compile().as_text())


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0; prints the kernels."""
    options = parse_options(arguments)
    # Before JAX is imported: its plugin asks for a driver otherwise, and tries algorithms on the GPU.
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    os.environ["XLA_FLAGS"] = "--xla_gpu_autotune_level=0"
    from benchmarks.accelerator.kernels import by_kind, kernels_of
    from benchmarks.accelerator.page import table
    from nucseg_jax.runtime.device_facts import device_facts

    facts = device_facts(options.card)
    if facts is None:
        sys.exit(f"error: --card is {options.card}, which is not in nucseg_jax/runtime/device_facts.py")
    if options.hlo and options.hlo.exists():
        text = options.hlo.read_text(encoding="utf-8")
    else:
        try:
            text = compiled_text(options)
        except NotImplementedError as error:
            sys.exit(f"error: {error}; install JAX's CUDA plugin, see --help")
        if options.hlo:
            options.hlo.write_text(text, encoding="utf-8")
    kernels = kernels_of(text)
    whole = 1e3 * sum(each.seconds(facts) for each in kernels)
    print(
        f"{options.model}, {options.work}, {options.dtype}, batch {options.batch_size}, {options.card}: at least"
    )
    print(
        f"{whole:.2f} ms, {len(kernels)} kernels, {sum(each.bytes for each in kernels) / 1e9:.2f} GB,"
        f" {sum(each.flops for each in kernels) / 1e9:.0f} GFLOP\n"
    )
    rows = [
        (
            kind,
            int(row["calls"]),
            f"{row['flops'] / 1e9:.0f}",
            f"{row['bytes'] / 1e9:.2f}",
            f"{row['ms']:.2f}",
        )
        for kind, row in by_kind(kernels, facts).items()
    ]
    print("\n".join(table(("kind", "kernels", "GFLOP", "GB", "ms, at least"), rows)), "\n")
    dearest = sorted(kernels, key=lambda each: -each.seconds(facts))[:DEAREST]
    rows = [
        (
            each.name,
            each.kind,
            each.operation,
            each.shape,
            f"{each.bytes / 1e6:.0f}",
            f"{1e3 * each.seconds(facts):.3f}",
        )
        for each in dearest
    ]
    print("\n".join(table(("kernel", "kind", "operation", "result", "MB", "ms, at least"), rows)))
    for each in kernels:
        if each.is_foreign:
            print(
                f"a window of {each.window_px} px, for which cuDNN has no kernel: {each.name}, {each.shape}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
