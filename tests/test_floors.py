"""Imports go down only, and the packages that must never be imported are not."""

import ast
import re
import subprocess
import sys

from docs import draw_house
from docs.draw_house import ENTRIES, PACKAGE, ROOT, imports, package_files, package_of

FLOORS = draw_house.floors()


def floor_of(package: str) -> int:
    """'models' -> 3."""
    return next(number for number, packages in enumerate(FLOORS) if package in packages)


def test_the_table_names_every_package():
    """And nothing that is not there."""
    assert len(package_files()) > 50
    named = [name for floor in FLOORS for name in floor]
    assert sorted(named) == sorted({package_of(path) for path in package_files()} - ENTRIES)


def test_imports_go_down_only():
    """Neither upwards nor to another package on the same floor."""
    faults = [
        f"{package} imports {other}"
        for package, others in draw_house.package_imports().items()
        for other in others
        if floor_of(other) >= floor_of(package)
    ]
    assert not faults


def test_the_drawing_is_up_to_date():
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert page == draw_house.draw(FLOORS), "python docs/draw_house.py > docs/house.md"


def test_the_words_of_pannuke_are_known_to_its_own_source_alone():
    """Everything else takes names of classes, groups and folds from a `DatasetInfo`; PanNuke's is `PANNUKE`."""
    own = PACKAGE / "data" / "sources" / "pannuke"
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
    lowest = {*FLOORS[0], *FLOORS[2]}
    files = [path for path in package_files() if package_of(path) in lowest]
    assert {package_of(path) for path in files} == lowest == {"core", "ops", "images"}
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
        assert others <= {"ml_collections", "nucseg_jax.config", "nucseg_jax.recipes"}, path


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
