"""Every format of nuclei opened by its own libraries, in `make test-readers`."""

import pytest

from nucseg_jax.cli.main import run
from nucseg_jax.inference.formats.table import FORMATS
from tests.inference.formats.predicted_folder import blobs, predicted
from tests.parity.format_readers import READERS

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three images in every format: classes and holes, no nucleus at all, no classes."""
    folder = tmp_path_factory.mktemp("written")
    empty = blobs(70, 90) * 0 + 240
    predicted(folder / "classes", {"a.png": blobs(150, 170), "b.png": empty})
    predicted(folder / "none", {"c.png": blobs(1100, 130)}, channels=1)
    for name in ("classes", "none"):
        assert run(["formats", f"--nuclei={folder / name}", f"--formats={','.join(FORMATS)}"]) == 0
    return folder


def test_every_format_has_a_reader():
    assert READERS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("image", ["classes/a", "classes/b", "none/c"])
def test_a_format_is_read_by_its_libraries(name, image, written):
    libraries, check = READERS[name]
    for library in libraries:
        pytest.importorskip(
            library, reason=f"{library} is not installed (extra readers)", exc_type=ImportError
        )
    folder, stem = image.split("/")
    check(written / folder, stem)
