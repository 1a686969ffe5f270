"""`prepare` of each source: seconds, patches a second, and the process's peak memory.

python benchmarks/prepare.py --sources synthetic release store --patches 600
python benchmarks/prepare.py --sources consep=FOLDER monuseg=FOLDER folder=FOLDER

Each source runs in a process of its own. synthetic: painted patches, painting included. release: three zip archives of
the same patches in the layout of PanNuke's, or those of release=FOLDER. store: patches of 256 px that wait in memory,
each of an image of its own, so that only records, audit and the search for near-duplicates are measured. The others
read FOLDER as `prepare` does. The seconds are those of `prepare`, imports excluded; the load is that before it.
"""

import argparse
import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator

import numpy as np

from nucseg_jax.cli.prepare import prepare
from nucseg_jax.config.data import DataConfig
from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.data.sources.pannuke.labels import from_masks
from nucseg_jax.data.sources.pannuke.synthetic import paint_patch, write_release
from nucseg_jax.data.sources.patch import OpenedSource, Patch
from nucseg_jax.data.store.build import build
from nucseg_jax.data.store.reader import open_dataset
from nucseg_jax.data.store.workspace import scratch
from nucseg_jax.runtime.peak_memory import forget_peak, peak_bytes

PAINTED = 32


def zip_painted_release(folder: pathlib.Path, patches_per_fold: int) -> pathlib.Path:
    """Writes three archives of painted patches."""
    written, zips = folder / "written", folder / "zips"
    write_release(written, patches_per_fold=patches_per_fold, seed=0)
    zips.mkdir()
    for fold in (1, 2, 3):
        with zipfile.ZipFile(
            zips / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            for path in sorted((written / f"Fold {fold}").rglob("*.npy")):
                archive.write(path, path.relative_to(written))
    return zips


def waiting_patches(count: int) -> OpenedSource:
    """Painted patches, moved by a few px each time one comes again."""
    classes = tuple(NucleusClass(f"class {number}", (number, 0, 0)) for number in range(1, 6))
    painted = [paint_patch(seed=0, fold=1, index=index) for index in range(20, 20 + PAINTED)]
    maps = [from_masks(np.rint(patch.masks).astype(np.int32)) for patch in painted]

    def patches() -> Iterator[Patch]:
        for number in range(count):
            patch, shift = number % PAINTED, 7 * (number // PAINTED)
            arrays = (painted[patch].image, maps[patch].label, maps[patch].instance)
            image, label, instance = (np.roll(array, (shift, shift // 2), (0, 1)) for array in arrays)
            yield Patch(image, label, instance, 0, f"{number}.png", 0, 0)

    return OpenedSource(DatasetInfo("waiting", classes, groups=("all",)), {"kind": "waiting"}, count, patches)


def run_source(name: str, release_dir: pathlib.Path | None, data_dir: pathlib.Path, patches: int) -> None:
    """Prepares one source."""
    if name == "store":
        with scratch(data_dir) as folder:
            build(waiting_patches(patches), data_dir, folder, draw_sheet=lambda sample, _: sample[0].image)
        return
    prepare(DataConfig(name, str(release_dir or ""), str(data_dir), max(5, patches // 3)))


def measure(name: str, given: str, patches: int) -> None:
    """Prints the row of one source."""
    import jax  # Only to ask for the peak.

    with tempfile.TemporaryDirectory() as folder_name:
        folder = pathlib.Path(folder_name)
        release_dir = pathlib.Path(given) if given else None
        if name == "release" and release_dir is None:
            release_dir = zip_painted_release(folder, patches // 3)
        device = jax.devices("cpu")[0]
        load = os.getloadavg()[0]
        forget_peak()
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            run_source(name, release_dir, folder / "data", patches)
        seconds, peak = time.perf_counter() - begin, peak_bytes(device) / 2**20
        stored = sum(open_dataset(folder / "data").index.fold_sizes.values())
    print(f"ROW | {name} | {stored:,} | {seconds:.1f} | {stored / seconds:.1f} | {peak:,.0f} | {load:.1f} |")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", nargs="+", default=["synthetic", "release", "store"])
    parser.add_argument("--patches", type=int, default=600, help="of sources without a folder")
    parser.add_argument("--one", action="store_true", help="measure here; for the processes that this starts")
    arguments = parser.parse_args()
    if arguments.one:
        name, _, given = arguments.sources[0].partition("=")
        measure(name, given, arguments.patches)
        return
    print("| source | patches | s | patches/s | peak memory, MiB | load |")
    print("|---|---|---|---|---|---|", flush=True)
    for source in arguments.sources:
        command = [
            *(sys.executable, __file__, "--one", f"--sources={source}"),
            f"--patches={arguments.patches}",
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = next(line for line in done.stdout.splitlines() if line.startswith("ROW"))
        print(row.removeprefix("ROW "), flush=True)


if __name__ == "__main__":
    main()
