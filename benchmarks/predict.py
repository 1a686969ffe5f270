"""`predict` end to end, from a tiled TIFF to GeoJSON, against the model's bare rate on the same tiles; and its memory.

python benchmarks/predict.py --workdir=runs/quickstart --sizes 1024 4096 16384
python benchmarks/predict.py --workdir=runs/quickstart --sizes 1024 --images 16

Each size runs in a process of its own, over painted tissue. Bare: batches that wait in memory, compilation excluded,
20 s before and 20 s after. Efficiency: tiles a second end to end over the mean of both. Memory: the process's peak, JAX
included.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import jax
import numpy as np
import tifffile

from nucseg_jax.cli.predict import PredictSettings, predict_files
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch
from nucseg_jax.inference.tiling.predictor import Predictor
from nucseg_jax.inference.tiling.tiles import TilePlan
from nucseg_jax.load import load_run
from nucseg_jax.runtime.compilation_cache import enable_compilation_cache
from nucseg_jax.runtime.peak_memory import peak_bytes

TILE_PX, OVERLAP_PX, BATCH_SIZE = 256, 64, 8
PATCHES = 16
BARE_S = 20.0


def write_tissue(path: pathlib.Path, size: int) -> None:
    """A square of painted patches, as a tiled TIFF at 0.25 microns per pixel."""
    patches = [paint_patch(seed=0, fold=3, index=index).image for index in range(20, 20 + PATCHES)]

    def tiles() -> Iterator[np.ndarray]:
        for number in range((size // 256) ** 2):
            yield patches[number * 7 % PATCHES]

    tifffile.imwrite(
        path,
        tiles(),
        shape=(size, size, 3),
        dtype=np.uint8,
        tile=(256, 256),
        photometric="rgb",
        compression="jpeg",
        resolution=(40_000, 40_000),
        resolutionunit="CENTIMETER",
    )


def bare_tiles_per_second(predictor: Predictor, seconds: float) -> float:
    """Batches one after the other, two under way."""
    tiles = [paint_patch(seed=0, fold=3, index=20 + index).image for index in range(predictor.batch_size)]
    jax.block_until_ready(predictor.start(tiles))
    begin, batches, waiting = time.perf_counter(), 0, predictor.start(tiles)
    while time.perf_counter() - begin < seconds:
        running = predictor.start(tiles)
        jax.block_until_ready(waiting)
        waiting, batches = running, batches + 1
    jax.block_until_ready(waiting)
    return (batches + 1) * predictor.batch_size / (time.perf_counter() - begin)


def measure(workdir: pathlib.Path, size: int, images: int, bare_s: float = BARE_S) -> dict[str, float]:
    """Measures one size, so many images in one `predict`.

    Returns:
      `images`, `px`, `tiles`, `seconds`, `tiles_per_second`, `bare_before`, `bare_after` (tiles a second), `efficiency`
      and `peak_mib`.
    """
    enable_compilation_cache()
    run = load_run(workdir)
    predictor = run.predictor(tile_px=TILE_PX, batch_size=BATCH_SIZE)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = [folder / f"tissue{number}.tif" for number in range(images)]
        write_tissue(paths[0], size)
        for path in paths[1:]:
            shutil.copyfile(paths[0], path)
        before = bare_tiles_per_second(predictor, bare_s)
        settings = PredictSettings(None, TILE_PX, OVERLAP_PX, run.rule)
        begin = time.perf_counter()
        predict_files(run, paths, folder / "out", settings, batch_size=BATCH_SIZE)
        seconds = time.perf_counter() - begin
        after = bare_tiles_per_second(predictor, bare_s)
    plan = TilePlan(size, size, TILE_PX, OVERLAP_PX)
    tiles, bare = images * plan.rows * plan.columns, (before + after) / 2
    end_to_end, peak = tiles / seconds, peak_bytes(jax.devices("cpu")[0]) / 2**20
    return {
        "images": images,
        "px": size,
        "tiles": tiles,
        "seconds": seconds,
        "tiles_per_second": end_to_end,
        "bare_before": before,
        "bare_after": after,
        "efficiency": end_to_end / bare,
        "peak_mib": peak,
    }


def table_row(found: dict[str, float]) -> str:
    """Returns what was measured as a row of the table."""
    return (
        "| {images} of {px:,} | {tiles:,} | {seconds:.1f} | {tiles_per_second:.2f} | {bare_before:.2f},"
        " {bare_after:.2f} | {efficiency:.0%} | {peak_mib:,.0f} |"
    ).format(**found)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--images", type=int, default=1, help="how many of each size in one predict")
    parser.add_argument(
        "--bare-s", type=float, default=BARE_S, help="seconds of the bare rate, before and after"
    )
    parser.add_argument("--one", action="store_true", help="measure here; for the processes that this starts")
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(arguments.workdir, arguments.sizes[0], arguments.images, arguments.bare_s)
        print(f"ROW {json.dumps(found)}")
        return
    print(
        "| images, px a side | tiles | s | tiles/s | bare, before and after | efficiency | peak memory, MiB |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--one", f"--workdir={arguments.workdir}"]
        command += [f"--sizes={size}", f"--images={arguments.images}", f"--bare-s={arguments.bare_s}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = next(line for line in done.stdout.splitlines() if line.startswith("ROW"))
        print(table_row(json.loads(row.removeprefix("ROW "))), flush=True)


if __name__ == "__main__":
    main()
