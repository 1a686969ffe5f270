"""The wheel: what is in it, and a new environment outside of the checkout that has nothing else."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = (
    "--config.data.synthetic_patches_per_fold=5",
    "--config.model.width=0.125",
    "--config.train.tile_px=32",
    "--config.train.epochs=1",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built from the checkout, by the backend of this environment, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_package_its_configs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if ".dist-info/" not in name}
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "nucseg_jax", "configs"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    expected = {f"nucseg_jax/{name}" if name.startswith("configs/") else name for name in files}
    assert package == {
        name
        for name in expected
        if (ROOT / name.removeprefix("nucseg_jax/")).exists() or (ROOT / name).exists()
    }
    about = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= about


@pytest.mark.long
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_empty_environment_runs_the_quickstart(tmp_path, kind):
    """As a user without the checkout: pip, then `nucseg` alone."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path / "dist")],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    (built,) = (tmp_path / "dist").iterdir()
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=300)
    program = tmp_path / "venv" / "bin" / "nucseg"
    install = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    reached = subprocess.run([*install, "click"], capture_output=True, text=True, timeout=600)
    if reached.returncode:
        pytest.skip("pip reaches no package index from here")
    subprocess.run([*install, str(built)], check=True, timeout=1800)
    home = tmp_path / "home"
    home.mkdir()
    kept = ("PATH", "LANG", "JAX_COMPILATION_CACHE_DIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "JAX_PLATFORMS": "cpu"}

    def nucseg(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [str(program), *arguments],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert str(ROOT) not in done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "nucseg train --config=quickstart" in nucseg("--help")
    assert "quickstart" in nucseg("config", "--list")
    nucseg("prepare", "--config=quickstart", *QUICK)
    assert "test Dice" in nucseg("train", "--config=quickstart", *QUICK, "--workdir=runs/quickstart")
    assert (home / "runs" / "quickstart" / "results.json").is_file()
    assert "micro" in nucseg("evaluate", "--workdir=runs/quickstart")
    assert "unet" in nucseg("describe", "--config=unet_resnet50", "--json")
    refused = nucseg("report", "--runs=runs/*", "--out=report", status=2)
    assert "pip install 'nucseg_jax[report]'" in refused
    subprocess.run([*install, f"{built}[report]"], check=True, timeout=1800)
    nucseg("report", "--runs=runs/*", "--out=report")
    assert (home / "report" / "report.html").is_file()
