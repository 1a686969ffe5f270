"""Imports go down only, and the packages that must never be imported are not."""

import ast
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = [
    {"core"},
    {"config"},
    {"ops", "images"},
    {"models", "data"},
    {"pretrained"},
    {"training", "evaluation", "inference", "reporting"},
    {"create", "metrics", "patch_sizes", "experiment", "sweep", "run"},
    {"cli"},
    {"__main__"},
]


def floor_of(module: str) -> int:
    """'nucseg_jax.models.resnet' -> 2."""
    part = module.split(".")[1]
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imports(path: pathlib.Path, *, only_top_level: bool = False) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if only_top_level else list(ast.walk(tree))
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.append(node.module or "")
    return names


def package_files() -> list[pathlib.Path]:
    files = sorted((ROOT / "nucseg_jax").rglob("*.py"))
    assert len(files) > 50
    return files


def test_imports_go_down_only():
    faults = []
    for path in package_files():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module == "nucseg_jax.__init__":
            continue
        for name in imports(path):
            if name.startswith("nucseg_jax.") and floor_of(name) > floor_of(module):
                faults.append(f"{module} imports {name}")
    assert not faults


def test_models_and_data_do_not_know_each_other():
    for path in package_files():
        part = path.relative_to(ROOT / "nucseg_jax").parts[0]
        other = {"models": "nucseg_jax.data", "data": "nucseg_jax.models"}.get(part)
        assert not other or not any(name.startswith(other) for name in imports(path)), path


def test_the_words_of_pannuke_are_known_to_its_own_source_alone():
    """Everything else takes names of classes, groups and folds from a `DatasetInfo`; PanNuke's is `PANNUKE`."""
    own = ROOT / "nucseg_jax" / "data" / "sources" / "pannuke"
    for path in package_files():
        if own not in path.parents:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {
                f"{node.module}.{alias.name}"
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            assert not any("pannuke.vocabulary" in name for name in {*names, *imports(path)}), path


def test_the_lowest_floors_know_no_data_set():
    lowest = [ROOT / "nucseg_jax" / part for part in sorted(FLOORS[0] | FLOORS[2])]
    files = [path for path in package_files() if any(part in path.parents for part in lowest)]
    assert {path.relative_to(ROOT / "nucseg_jax").parts[0] for path in files} == FLOORS[0] | FLOORS[2]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search("pannuke|monuseg|consep", text, re.IGNORECASE), path
        assert path.parts[-2] != "core" or "tissue" not in text.lower(), path


def test_only_the_command_line_and_the_configs_know_ml_collections():
    for path in package_files():
        if path.name != "given_config.py":
            assert not any(name.startswith("ml_collections") for name in imports(path)), path


def test_configs_stand_alone():
    """An installed package loads them by path, where `import configs` finds nothing."""
    for path in (ROOT / "configs").rglob("*.py"):
        others = {name for name in imports(path) if name.split(".")[0] not in sys.stdlib_module_names}
        assert others <= {"ml_collections", "nucseg_jax.config"}, path


def test_tensorflow_is_never_imported_and_torch_not_at_module_level():
    for path in [*package_files(), ROOT / "launch.py"]:
        assert not any(name.split(".")[0] == "tensorflow" for name in imports(path)), path
        assert "torch" not in {name.split(".")[0] for name in imports(path, only_top_level=True)}, path


def test_importing_the_package_is_light():
    """JAX and the models come with the first use of `load_run`."""
    code = (
        "import sys, nucseg_jax; assert not {'jax', 'flax', 'numpy'} & set(sys.modules); nucseg_jax.load_run"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
