"""Packages that are extras: absent, everything else works, and what needs them names the command that installs them."""

import ast
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

from nucseg_jax.core.extras import EXTRAS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODULES = {name for names in EXTRAS.values() for name in names}
# An environment without these modules, as imports and `find_spec` see it.
WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

MISSING = {MODULES!r}
sys.meta_path.insert(0, Missing())
"""


def python(code: str, *arguments: str, missing: set[str] = MODULES) -> subprocess.CompletedProcess:
    setup = WITHOUT.replace(repr(MODULES), repr(missing))
    return subprocess.run(
        [sys.executable, "-c", setup + code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_what_needs_no_extra_imports_without_them():
    """Library, `prepare` from PanNuke, `train`, `evaluate`, `describe`, `profile`, `export`, local sweeps."""
    names = (
        "run",
        *(f"cli.{verb}" for verb in ("prepare", "train", "evaluate", "describe", "profile", "export")),
    )
    code = f"""
import importlib
for name in {(*names, "cli.sweep_local", "cli.main")!r}:
    importlib.import_module(f"nucseg_jax.{{name}}")
"""
    done = python(code)
    hint = "a package of an extra is imported by the core, or by a package that the core needs"
    assert done.returncode == 0, f"{hint}\n{done.stderr}"


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("report", ["report", "--runs=runs/*", "--out=report"]),
        ("convert", ["convert", "--encoder=resnet50", "--source=a.h5", "--out=weights"]),
        ("images", ["predict", "--workdir=runs/a", "--inputs=a.png", "--out=nuclei"]),
        ("images", ["formats", "--nuclei=nuclei", "--formats=labels"]),
        ("formats", ["formats", "--nuclei=nuclei", "--formats=anndata"]),
        ("torch", ["export", "--workdir=runs/a", "--format=torchscript", "--out=m.pt"]),
        ("onnx", ["export", "--workdir=runs/a", "--format=onnx", "--out=m.onnx"]),
        ("images", ["measure", "--labels=a.tif", "--inputs=a.png", "--out=nuclei"]),
        ("images", ["prepare", "--config=folder", "--config.data.release_dir=none"]),
    ],
)
def test_a_verb_names_its_extra_before_it_works(extra, arguments, tmp_path):
    code = "from nucseg_jax.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = python(code, *arguments)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'nucseg_jax[{extra}]'" in done.stderr
    assert all(name in done.stderr for name in EXTRAS[extra])
    assert "Traceback" not in done.stderr
    # Where one of several is there, the others are named; PyTorch is in no environment of `make test`.
    (present, *others) = EXTRAS[extra]
    if others and importlib.util.find_spec(present):
        message = python(code, *arguments, missing=set(others)).stderr.splitlines()[0]
        assert present not in message
        assert all(name in message for name in others)


def test_extras_are_those_of_pyproject_and_no_others_are_core():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = " ".join(project["dependencies"])
    assert not [name for name in MODULES if f" {name}" in f" {core}"]
    packages = {"openslide": "openslide-python"}
    for extra, names in EXTRAS.items():
        listed = " ".join(project["optional-dependencies"][extra])
        declared = {re.split(r"[>=\[]", package)[0] for package in project["optional-dependencies"][extra]}
        assert declared <= {packages.get(name, name) for name in names} | {"nucseg_jax", "openslide-bin"}, (
            extra
        )
        for name in names:
            assert packages.get(name, name) in listed or "nucseg_jax[images]" in listed, (extra, name)
        # PyTorch is larger than all the rest; files and https:// need no hub.
        is_in_all = extra in " ".join(project["optional-dependencies"]["all"])
        assert is_in_all or extra in ("images", "torch", "onnx", "hub")


def test_no_module_needs_a_system_that_has_fcntl_or_resource():
    """They are imported where they are used, so that Windows gets a message, not a traceback."""
    for path in (ROOT / "nucseg_jax").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"fcntl", "resource", "pwd", "grp", "termios"}, path
