import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from nucseg_jax.core.errors import UserError
from nucseg_jax.data.prepared import plan_data
from nucseg_jax.data.sources.pannuke import audit as audits
from nucseg_jax.data.sources.pannuke import labels, vocabulary
from nucseg_jax.data.sources.pannuke.builder import Pannuke
from nucseg_jax.data.splits import official_splits
from nucseg_jax.data.store import reader
from nucseg_jax.data.store.location import dataset_folder
from tests.data.sources.pannuke.prepared import forget_checksums, record_file


@pytest.fixture
def data_dir(release_dir, tmp_path):
    folder = tmp_path / "data"
    Pannuke(data_dir=folder).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=release_dir)
    )
    return folder


def test_patches_come_sorted_by_fold_and_row(data_dir, fold_arrays):
    patches = reader.read_folds(data_dir, [3, 1], with_instances=True)
    assert patches.fold.tolist() == [1, 1, 3, 3]
    assert patches.index.tolist() == [0, 1, 0, 1]
    for place, (fold, row) in enumerate(zip(patches.fold, patches.index, strict=True)):
        arrays = fold_arrays(int(fold))
        label, instance, _ = labels.from_masks(arrays["masks"][row])
        np.testing.assert_array_equal(patches.image[place], arrays["images"][row])
        np.testing.assert_array_equal(patches.label[place], label)
        np.testing.assert_array_equal(patches.instance[place], instance)
        assert vocabulary.TISSUES[patches.group[place]] == arrays["types"][row]
    dtypes = {name: str(array.dtype) for name, array in vars(patches).items()}
    assert dtypes == {
        "image": "uint8", "label": "uint8",
        "group": "int32", "fold": "int32", "index": "int32", "instance": "uint16",
    }  # fmt: skip


def test_digest_and_sizes_come_from_the_audit(data_dir):
    audit = audits.load(dataset_folder(data_dir))
    assert (
        reader.open_dataset(data_dir).digest == audit.digest == reader.stored_digest(dataset_folder(data_dir))
    )
    assert reader.open_dataset(data_dir).index.fold_sizes == {1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize("read", [lambda d: reader.read_folds(d, [1]), reader.open_dataset])
def test_without_a_data_set_the_command_that_makes_it_is_named(tmp_path, read):
    with pytest.raises(UserError, match=r"(?s)not there.*launch\.py prepare"):
        read(tmp_path)


@pytest.mark.parametrize("folds", [[], [0], [1, 4], [2, 2]])
def test_folds_that_do_not_exist_are_refused(data_dir, folds):
    with pytest.raises(ValueError, match=r"some of \(1, 2, 3\)"):
        reader.read_folds(data_dir, folds)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.unlink(),
        lambda record: record.write_bytes(b""),
        lambda record: record.write_bytes(record.read_bytes()[:-1000]),
        lambda record: record.write_bytes(record.read_bytes()[: record.stat().st_size // 2]),
        lambda record: record.write_bytes(bytes(record.stat().st_size)),
        lambda record: (record.parent / "dataset_info.json").unlink(),
        lambda record: (record.parent / "features.json").write_text("{"),
    ],
    ids=["gone", "empty", "cut", "half", "zeros", "no info", "broken features"],
)
def test_a_spoilt_data_set_is_an_error_of_the_user(data_dir, spoil):
    spoil(record_file(data_dir, 2))
    with pytest.raises(UserError, match=r"(?s)is damaged: .*fold ?2.*What to do: remove"):
        reader.read_folds(data_dir, [2])


def test_records_of_another_fold_are_noticed(data_dir):
    record_file(data_dir, 2).write_bytes(record_file(data_dir, 1).read_bytes())
    forget_checksums(data_dir)
    with pytest.raises(UserError, match="fold 2 holds row 0"):
        reader.read_folds(data_dir, [2])
    with pytest.raises(UserError, match="damaged"):
        reader.read_folds(data_dir, [1, 2, 3])


def test_a_model_with_classes_needs_nuclei_with_classes(data_dir):
    def splits(index, info):
        return official_splits(index.fold_sizes, number=1)

    plan_data(data_dir, splits, num_classes=6)
    folder = dataset_folder(data_dir)
    audit = audits.load(folder)
    # As an earlier version wrote it.
    folds = {
        fold: dataclasses.replace(of_fold, nuclei={**dict.fromkeys(of_fold.nuclei, 0), "Neoplastic": 5})
        for fold, of_fold in audit.folds.items()
    }
    dataclasses.replace(audit, folds=folds).save(folder)
    plan_data(data_dir, splits)
    with pytest.raises(UserError, match=r"have no classes(?s:.*)model\.num_classes=1"):
        plan_data(data_dir, splits, num_classes=6)


BESIDE = ("dataset.json", "patches.csv", "checksums.json")


def test_the_tissue_of_every_patch_is_known_without_reading_one(data_dir):
    index = reader.open_dataset(data_dir).index
    patches = reader.read_folds(data_dir, [1, 2, 3])
    np.testing.assert_array_equal(index.group, patches.group)
    assert len(set(index.group.tolist())) == 2
    assert not index.has_places
    assert index.division == tuple(f"fold{fold}" for fold in patches.fold)


def test_pannuke_as_earlier_versions_prepared_it_opens_as_before(data_dir):
    now = reader.open_dataset(data_dir)
    for name in BESIDE:
        (dataset_folder(data_dir) / name).unlink()
    before = reader.open_dataset(data_dir)
    assert before.index.group is None
    assert (before.digest, before.info, before.index.fold_sizes) == (
        now.digest,
        now.info,
        now.index.fold_sizes,
    )
    assert reader.stored_digest(dataset_folder(data_dir)) == now.digest
    assert len(reader.read_folds(data_dir, [1, 2, 3]).fold) == 6


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("is_gone", [True, False])
def test_files_beside_pannuke_s_records_that_were_altered_are_noticed(data_dir, name, is_gone):
    path = dataset_folder(data_dir) / name
    text = path.read_text()
    if is_gone:
        path.unlink()
    else:
        path.write_text(text.replace("Breast", "Colon").replace("0", "1", 1))
        assert path.read_text() != text
    with pytest.raises(UserError, match=r"(?s)is damaged.*What to do: remove"):
        reader.open_dataset(data_dir)
