"""Draws the house, docs/house.md, from the table of CONTRIBUTING.md and the imports of the package.

    python docs/draw_house.py > docs/house.md

`tests/test_floors.py` holds the page to the code.
"""

import ast
import pathlib
import re
import sys
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nucseg_jax"
# Entries to the package, above all floors.
ENTRIES = {"__init__", "__main__"}


def floors() -> list[dict[str, str]]:
    """Reads the table, from the ground up: [{"core": "core/"}, ..., {"ops": "ops/", "images": "images/"}, ...]."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Floors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", table, re.MULTILINE)
    if [int(number) for number, _ in rows] != list(range(len(rows)))[::-1]:
        raise ValueError(f"the floors of CONTRIBUTING.md are {[number for number, _ in rows]}")
    return [
        {name.removesuffix(".py").rstrip("/"): name for name in re.findall("`(.+?)`", names)}
        for _, names in rows[::-1]
    ]


def package_files() -> list[pathlib.Path]:
    """Returns all files of the package, sorted."""
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: pathlib.Path) -> str:
    """Names the package of a file: 'models' for nucseg_jax/models/resnet.py, 'run' for nucseg_jax/run.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: pathlib.Path, *, only_top_level: bool = False) -> list[str]:
    """Lists the modules that a file imports, in functions too; `from nucseg_jax import x` is 'nucseg_jax.x'.

    Raises:
      ValueError: a relative import.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = []
    for node in tree.body if only_top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"{path} has a relative import")
            names += (
                [f"nucseg_jax.{alias.name}" for alias in node.names]
                if node.module == "nucseg_jax"
                else [node.module]
            )
    return names


def package_imports() -> dict[str, set[str]]:
    """Returns, for every package but the entries, the other packages that it imports."""
    found: dict[str, set[str]] = {}
    for path in package_files():
        package = package_of(path)
        if package not in ENTRIES:
            names = {name.split(".")[1] for name in imports(path) if name.startswith("nucseg_jax.")}
            # Not packages but names of nucseg_jax/__init__.py, such as __version__.
            names = {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}
            found.setdefault(package, set()).update(names - {package})
    return found


def without_detours(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leaves out the imports that a longer way makes too, which keeps a drawing readable.

    >>> without_detours({"c": {"a", "b"}, "b": {"a"}, "a": set()})["c"]
    {'b'}
    """

    def below(package: str) -> set[str]:
        return edges[package].union(*map(below, edges[package]))

    return {
        package: {name for name in others if not any(name in below(other) for other in others)}
        for package, others in edges.items()
    }


def draw(lines: Iterable[dict[str, str]]) -> str:
    """Returns the page."""
    levels = list(lines)
    edges = without_detours(package_imports())
    drawing = ["flowchart TB"]
    for number in reversed(range(len(levels))):
        nodes = "; ".join(f'{package}["{name}"]' for package, name in levels[number].items())
        drawing += [f'  subgraph floor{number}["{number}"]', "    direction LR", f"    {nodes}", "  end"]
    for level in reversed(levels):
        drawing += [f"  {package} --> {other}" for package in level for other in sorted(edges[package])]
    return "\n".join(
        [
            "# The house",
            "",
            "Each box is a package or file of `nucseg_jax/`. Each arrow is an import. An arrow is left out if a longer",
            "chain of arrows shows the same. A package imports only from floors below its own.",
            "[CONTRIBUTING.md](../CONTRIBUTING.md#floors) describes each package.",
            "",
            "```mermaid",
            *drawing,
            "```",
            "",
            "Written by `python docs/draw_house.py > docs/house.md`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(draw(floors()))
