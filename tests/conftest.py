"""Fixtures of the whole suite, and JAX set up as users get it: CPU, and for tests eight virtual devices."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Most of a test's time is compilation: half of it is saved by not optimising code that runs a few times.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import pytest

# The folders whose files take longest.
SLOW_FOLDERS = ("commands", "training", "models", "pretrained")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: workers take files in order, and none is left alone with a long one at the end."""

    def turn(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return SLOW_FOLDERS.index(folder) if folder in SLOW_FOLDERS else len(SLOW_FOLDERS)

    items.sort(key=turn)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real patches and weights that lies beside the project; tests that need it skip without it."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the real patches (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def painted(tmp_path_factory) -> pathlib.Path:
    """The data folder of a prepared data set: three folds of five painted patches."""
    import tensorflow_datasets as tfds

    from nucseg_jax.data.pannuke import synthetic
    from nucseg_jax.data.pannuke.builder import Pannuke

    folder = tmp_path_factory.mktemp("painted")
    synthetic.write_release(folder / "release", patches_per_fold=5, seed=0)
    Pannuke(data_dir=folder / "data").download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=folder / "release")
    )
    return folder / "data"
