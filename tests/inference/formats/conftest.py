import pathlib

import pytest

from nucseg_jax.inference.formats.finished_folder import finished_images
from tests.inference.formats.predicted_folder import blobs, predicted


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    """Two images that were predicted; the second has no nucleus."""
    empty = blobs(70, 90) * 0 + 240
    return predicted(
        tmp_path_factory.mktemp("predicted"), {"slides/a.1.ome.tif": blobs(150, 170), "b.png": empty}
    )


@pytest.fixture(scope="session")
def images(folder):
    """The same, read."""
    return finished_images(folder)
