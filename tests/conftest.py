"""Fixtures of the whole suite, and JAX set up as users get it: CPU, and for tests eight virtual devices."""

import gc
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Most of a test's time is compilation: three quarters of it are saved by not optimising code that runs a few times. An
# accelerator's tests are of the code that users have there.
IS_ON_CPU = os.environ["JAX_PLATFORMS"].partition(",")[0] == "cpu"
UNOPTIMISED = ["--xla_backend_optimization_level=0"] if IS_ON_CPU else []
# Newer versions have lost this one, and end at once if it is named.
if IS_ON_CPU and importlib.metadata.version("jaxlib").startswith("0.10."):
    UNOPTIMISED.append("--xla_cpu_use_fusion_emitters=false")

# Tracing makes objects by the million that live on: collections that find nothing took a sixth of the suite's time.
gc.set_threshold(100_000, 50, 50)

# Those of the caller, who may set others; a worker of xdist and a process that a test starts find ours there too.
GIVEN_XLA_FLAGS = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag not in UNOPTIMISED]
os.environ["XLA_FLAGS"] = " ".join([*UNOPTIMISED, *GIVEN_XLA_FLAGS])

import filelock
import pytest

from tests.warm_process import WarmProcess, WarmServer, is_warm_enough

# The folders whose files take longest.
SLOW_FOLDERS = ("faults", "cli", "training", "models", "test_library.py", "pretrained")


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

    from nucseg_jax.data.sources.pannuke import synthetic
    from nucseg_jax.data.sources.pannuke.builder import Pannuke

    folder = tmp_path_factory.mktemp("painted")
    synthetic.write_release(folder / "release", patches_per_fold=5, seed=0)
    Pannuke(data_dir=folder / "data").download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=folder / "release")
    )
    return folder / "data"


class CommandLine:
    """Runs `launch.py` on one small data set and one narrow model, with one device."""

    def __init__(self, data_dir: pathlib.Path, server: WarmServer | None, *, optimised: bool = False):
        """Takes the suite's XLA flags; or the caller's alone, which compiles four times as long."""
        self.data_dir, self.server = data_dir, server
        self.environment = {"JAX_NUM_CPU_DEVICES": "1"} | (
            {"XLA_FLAGS": " ".join(GIVEN_XLA_FLAGS)} if optimised else {}
        )
        self.config = [
            f"--config={ROOT / 'configs' / 'quickstart.py'}",
            f"--config.data.dir={data_dir}",
            "--config.data.synthetic_patches_per_fold=5",
            "--config.model.width=0.125",
            "--config.train.tile_px=32",
            "--config.train.batch_size=32",
            "--config.train.epochs=3",
            "--config.train.checkpoint_every_steps=4",
            "--config.train.log_every_steps=1",
            "--config.eval.overlays=2",
            "--config.eval.time_inference=False",
        ]

    def as_users_have_it(self) -> "CommandLine":
        """The same with programs that are optimised."""
        return CommandLine(self.data_dir, self.server, optimised=True)

    def start(
        self, *arguments: str, before: tuple[str, ...] = (), cold: bool = False, **options
    ) -> subprocess.Popen:
        """Starts the command; `cold` in an interpreter of its own, which imports everything itself."""
        options |= dict(
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment, **options.pop("env", {})},
        )
        if before or cold or self.server is None or not is_warm_enough(options["env"]):
            return subprocess.Popen([sys.executable, *before, str(ROOT / "launch.py"), *arguments], **options)
        return WarmProcess(self.server, [str(each) for each in arguments], **options)

    def run(self, *arguments: str, timeout: float = 300, **options) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    def train(self, workdir: pathlib.Path, *more: str) -> tuple[int, str, str]:
        return self.run("train", *self.config, *more, f"--workdir={workdir}")


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory) -> pathlib.Path:
    """A folder that the workers of one run of the tests share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def warm_server() -> Iterator[WarmServer | None]:
    """Starts commands without their imports; None where the system cannot."""
    if sys.platform != "linux":
        yield None
        return
    server = WarmServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def command_line(of_all_workers, warm_server) -> CommandLine:
    line = CommandLine(of_all_workers / "data", warm_server)
    with filelock.FileLock(of_all_workers / "data.lock"):
        if not line.data_dir.exists():
            status, _, err = line.run("prepare", *line.config)
            assert status == 0, err
    return line


@pytest.fixture(scope="session")
def finished_run(command_line, of_all_workers, tmp_path_factory) -> pathlib.Path:
    """A run that was never interrupted; what it printed lies beside it, in whole.txt.

    One worker trains it, and each has a copy of its own.
    """
    trained = of_all_workers / "whole"
    with filelock.FileLock(of_all_workers / "whole.lock"):
        if not trained.with_suffix(".txt").exists():
            status, out, err = command_line.train(trained)
            assert status == 0, err
            assert "run folder" in out
            trained.with_suffix(".txt").write_text(out)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    shutil.copytree(trained, workdir)
    shutil.copy(trained.with_suffix(".txt"), workdir.with_suffix(".txt"))
    return workdir
