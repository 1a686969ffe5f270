import pathlib
import shutil
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import labels, vocabulary
from nucseg_jax.data.sources.pannuke.builder import Pannuke
from nucseg_jax.data.store import reader
from nucseg_jax.data.store.location import dataset_folder


def build(release_dir, data_dir):
    """The plain way of TensorFlow Datasets."""
    builder = Pannuke(data_dir=data_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=release_dir))
    return builder


def test_the_plain_builder_gives_the_release_back(release_dir, fold_arrays, tmp_path):
    builder = build(release_dir, tmp_path / "data")
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == dict.fromkeys(
        ("fold1", "fold2", "fold3"), 2
    )
    source = builder.as_data_source(split="fold2")
    for row, example in enumerate(source):
        arrays = fold_arrays(2)
        label, instance, _ = labels.from_masks(arrays["masks"][row])
        np.testing.assert_array_equal(example["image"], arrays["images"][row])
        np.testing.assert_array_equal(example["label"], label)
        np.testing.assert_array_equal(example["instance"], instance)
        assert [example[name].dtype for name in ("image", "label", "instance")] == [
            np.uint8,
            np.uint8,
            np.uint16,
        ]
        assert vocabulary.TISSUES[example["tissue"]] == arrays["types"][row]
        assert (example["fold"], example["index"]) == (2, row)
    assert builder.info.features["tissue"].names == list(vocabulary.TISSUES)
    for text, part in (
        ("license", "BY-NC-SA 4.0"),
        ("citation", "2003.10778"),
        ("homepage", "warwick.ac.uk"),
    ):
        assert part in str(
            getattr(builder.info.redistribution_info if text == "license" else builder.info, text)
        )


def test_the_plain_builder_leaves_an_audit_and_our_reader_reads_it(release_dir, tmp_path):
    build(release_dir, tmp_path / "data")
    folder = dataset_folder(tmp_path / "data")
    assert reader.stored_digest(folder) == audits.load(folder).digest
    assert reader.open_dataset(tmp_path / "data").index.fold_sizes == {1: 2, 2: 2, 3: 2}


def test_content_does_not_depend_on_zips_or_dtypes(
    release_dir, change_fold, fold_arrays, zip_release, tmp_path
):
    zip_release(release_dir, tmp_path / "zips")
    change_fold(1, images=fold_arrays(1)["images"].astype(np.float64))
    for name, folder in (("a", release_dir), ("b", tmp_path / "zips")):
        build(folder, tmp_path / name)
    assert reader.open_dataset(tmp_path / "a").digest == reader.open_dataset(tmp_path / "b").digest


def test_a_fault_in_the_last_patch_leaves_no_data_set(release_dir, change_fold, fold_arrays, tmp_path):
    images = fold_arrays(3)["images"].astype(np.float32)
    images[1, 0, 0, 0] = np.nan
    change_fold(3, images=images)
    with pytest.raises(UserError, match="holds the value nan in patch 1"):
        build(release_dir, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*array_record*"))
    assert not dataset_folder(tmp_path / "data").exists()


@pytest.mark.long
def test_three_folds_of_2722_patches_take_less_than_1_gib(shared, tmp_path):
    """Ninety real patches, repeated in one deflated zip of float64 as the release's, which is all three folds.

    So 38 GB of arrays are read and 1.1 GB are on disk; what one fold leaves in memory would show in the next.
    """
    written, zips = tmp_path / "release", tmp_path / "zips"
    subprocess.run([sys.executable, shared / "tools/write_pannuke_release.py", written], check=True)
    zips.mkdir()
    with zipfile.ZipFile(zips / "fold_1.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted((written / "Fold 1").rglob("*.npy")):
            _write_repeated(archive, path, path.name, 2722)
    shutil.rmtree(written)
    for fold in (2, 3):
        (zips / f"fold_{fold}.zip").symlink_to(zips / "fold_1.zip")
    script = textwrap.dedent("""
        import pathlib, resource, sys, time
        from nucseg_jax.cli.prepare import prepare
        from nucseg_jax.config.data import DataConfig
        start = time.perf_counter()
        data_dir, release_dir = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1])
        prepare(DataConfig("release", str(release_dir), str(data_dir), allow_duplicates=True))
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print("peak", peak_kib, "seconds", time.perf_counter() - start)
    """)
    child = subprocess.run(
        [sys.executable, "-c", script, zips, tmp_path / "data"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(child.stdout)
    words = child.stdout.split()
    peak_mib = int(words[words.index("peak") + 1]) / 1024
    assert peak_mib < 1024
    assert reader.open_dataset(tmp_path / "data").index.fold_sizes == dict.fromkeys((1, 2, 3), 2722)


def _write_repeated(archive: zipfile.ZipFile, path: pathlib.Path, name: str, num_patches: int) -> None:
    array = np.load(path, mmap_mode="r")
    with archive.open(name, "w", force_zip64=True) as file:
        header = np.lib.format.header_data_from_array_1_0(array) | {"shape": (num_patches, *array.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)
        for repeat in range(num_patches):
            row = repeat % len(array)
            file.write(array[row : row + 1].tobytes())
