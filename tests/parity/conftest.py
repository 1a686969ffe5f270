"""Reference libraries where they are installed, and the table of what was measured at the end of the run."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# PyTorch's CUDA build imports it, and it crashes if TensorFlow was loaded before.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

MEASURED = pytest.StashKey[list[tuple[str, ...]]]()
COLUMNS = ("network", "reference", "mode", "images", "largest relative error")

Record = Callable[..., None]


def reference(module: str, *libraries: str) -> Any:
    """`module` of this folder, or a skip that names what is not installed."""
    for library in libraries:
        pytest.importorskip(
            library, reason=f"{library} is not installed (extra parity)", exc_type=ImportError
        )
    return importlib.import_module(f"tests.parity.{module}")


@pytest.fixture(scope="session")
def keras_networks() -> Any:
    """The module of that name."""
    return reference("keras_networks", "tensorflow", "keras")


@pytest.fixture(scope="session")
def keras_segmenters() -> Any:
    """The module of that name."""
    return reference("keras_segmenters", "tensorflow", "keras")


@pytest.fixture(scope="session")
def torch_networks() -> Any:
    """The module of that name."""
    return reference("torch_networks", "torch", "torchvision")


@pytest.fixture
def keras_float64(keras_networks: Any) -> Iterator[None]:
    """Keras builds and computes in float64."""
    keras_networks.compute_in("float64")
    yield
    keras_networks.compute_in("float32")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """`record(network, reference, mode, images, error)` adds a row to the table."""
    rows = request.config.stash.setdefault(MEASURED, [])

    def add(network: str, reference: str, mode: str, images: str, error: str) -> None:
        rows.append((network, reference, mode, images, error))

    return add


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", "parity: against Keras and PyTorch, where they are installed; minutes")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the table in Markdown."""
    rows = config.stash.get(MEASURED, [])
    if rows:
        terminalreporter.section("parity")
        terminalreporter.line(f"| {' | '.join(COLUMNS)} |")
        terminalreporter.line("|---" * len(COLUMNS) + "|")
        for row in sorted(rows):
            terminalreporter.line(f"| {' | '.join(row)} |")
