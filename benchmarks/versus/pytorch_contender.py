"""PyTorch's side of the benchmark, eager and compiled."""

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.versus.case import Case, Contender, model_config, pixels
from benchmarks.versus.pytorch_step import make_inference, make_optimizer, make_train_step
from nucseg_jax.models.build import build_segmenter
from nucseg_jax.torch_models.segmenter import build_torch_segmenter

# What forward pass (and loss) go through, by the contender's name.
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "eager": lambda function: function,
    "compile": torch.compile,
    # CUDA graphs.
    "compile_reduce_overhead": functools.partial(torch.compile, mode="reduce-overhead"),
    # Inference: weights become constants, batch norms are folded into them.
    "compile_freezing": functools.partial(torch.compile, options={"freezing": True}),
}


def prepare(case: Case) -> Contender:
    """Builds model and step; the first step, which compiles, is timed here."""
    device = torch.device(case.device)
    # XLA flushes them too. Threads of a pool take it over from the thread that starts them.
    torch.set_flush_denormal(True)
    if case.device == "cpu":
        torch.set_num_threads(case.threads)
    else:
        # TensorFloat-32 in float32 products, as XLA has by default; and cuDNN may try its algorithms.
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)

    config = model_config(case)
    sizes = build_segmenter(
        encoder=config.model.encoder,
        decoder=config.model.decoder,
        num_classes=1,
        dropout=config.model.dropout,
        drop_connect=config.model.drop_connect,
    )
    model = build_torch_segmenter(sizes).to(device)
    images, labels = pixels(case)
    # [N, H, W, 3] seen as [N, 3, H, W] is channels_last already.
    image = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    options = dict(autocast=case.dtype == "bfloat16", transform=TRANSFORMS[case.contender])
    if case.mode == "train":
        optimizer = make_optimizer(model.train(), lr=config.train.lr, l2=config.loss.l2)
        step = make_train_step(model, optimizer, image, torch.from_numpy(labels).to(device), **options)
    else:
        step = make_inference(model.eval(), image, **options)

    def synchronise() -> None:
        if case.device != "cpu":
            torch.cuda.synchronize()

    def run(steps: int) -> None:
        for _ in range(steps):
            step()
        synchronise()

    start = time.perf_counter()
    run(1)
    first = time.perf_counter() - start
    start = time.perf_counter()
    run(1)
    # The first step also ran; what is left of it is compilation.
    compile_s = None if case.contender == "eager" else max(first - (time.perf_counter() - start), 0.0)
    return Contender(
        run=run,
        steps_per_dispatch=1,
        compile_s=compile_s,
        reset_peak_memory=torch.cuda.reset_peak_memory_stats if case.device != "cpu" else None,
        peak_device_bytes=torch.cuda.max_memory_allocated if case.device != "cpu" else None,
        about={
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if case.device != "cpu" else "cpu",
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        },
    )
