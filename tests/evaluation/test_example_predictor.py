import pathlib
import types

import numpy as np
import pytest

from nucseg_jax.data.dataset_info import DatasetInfo
from nucseg_jax.data.patch_index import PatchIndex
from nucseg_jax.data.patch_store import Patches
from nucseg_jax.data.prepared import PreparedData
from nucseg_jax.data.splits import Splits
from nucseg_jax.data.store.reader import StoredDataset
from nucseg_jax.evaluation.example_predictor import ExamplePredictor
from nucseg_jax.evaluation.overlays import example_sheet
from nucseg_jax.runtime.mesh import make_mesh


@pytest.mark.parametrize("has_places", [True, False])
def test_examples_are_named_by_the_image_and_place_of_their_own_patch(has_places):
    """In a split whose order is not the data set's, in batches of two."""
    rows = np.arange(6, dtype=np.int32)
    index = PatchIndex(
        fold=rows // 3 + 1,
        row=rows % 3,
        group=None,
        image=tuple(f"image{row}.png" if has_places else "" for row in rows),
        top=10 * rows,
        left=100 * rows,
        division=("",) * 6,
    )
    info = DatasetInfo("toy", groups=("a", "b"), patch_px=32)
    image = np.repeat(rows.astype(np.uint8), 32 * 32 * 3).reshape(6, 32, 32, 3)
    patches = Patches(image, image[..., 0] % 2, rows % 2, index.fold, index.row)
    order = np.array([5, 0, 3, 2, 4])
    pairs = np.stack([index.fold, index.row], axis=1)[order]
    dataset = StoredDataset(pathlib.Path(), info, index, "d", np.zeros((0, 4), np.int32))
    data = PreparedData(patches, Splits(pairs, pairs, pairs), dataset)

    def step(variables, batch):
        level = batch.image[..., 0]
        return types.SimpleNamespace(valid=batch.valid, level=level, nucleus=level > 2)

    examples = ExamplePredictor(step, patches=5, batch_size=2, mesh=make_mesh(1)).spread({}, data, "test")
    seen = examples.probability[:, 0, 0].tolist()
    assert seen == order.tolist() == examples.image[:, 0, 0, 0].tolist()
    names = [examples.name(number, info) for number in range(5)]
    if has_places:
        assert names == [f"image{row}.png at {10 * row}, {100 * row}" for row in seen]
    else:
        assert names[:2] == ["fold 2, patch 2, b", "fold 1, patch 0, a"]
    assert example_sheet(examples, info).ndim == 3
