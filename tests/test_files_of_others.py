"""No file's content is run as code, and none is written through a link: the source is searched for both."""

import ast
import functools
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Modules whose loading functions run what the file says.
CODE_FORMATS = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "yaml"}
CODE_CALLS = {
    *("eval", "exec", "compile", "__import__", "importlib.import_module", "os.system"),
    *("runpy.run_path", "runpy.run_module", "serialize_executable.deserialize_and_load"),
}
# What a loader must be told, since its default has run code in some version.
SAFE_BY = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
}
# A sweep is a Python file, and the documentation says so; pickle is imported for the name of torch's error;
# dataset.yaml is read by a loader that makes text, lists and mappings alone; the package imports its own modules
# with the first use of a name, by a literal table.
ALLOWED = {
    "nucseg_jax/__init__.py: importlib.import_module",
    "nucseg_jax/sweep.py: runpy.run_path",
    "nucseg_jax/pretrained/torch_pickle.py: import pickle",
    "nucseg_jax/data/sources/folder/description.py: import yaml",
}
# A file of the kernel, a folder that this process has just made, and the null device.
WRITES_ALLOWED = {
    "nucseg_jax/runtime/peak_memory.py",
    "nucseg_jax/reporting/page/write.py",
    "nucseg_jax/runtime/processes.py",
}


@functools.cache
def sources() -> list[tuple[str, ast.Module]]:
    files = [ROOT / "launch.py", *(ROOT / "nucseg_jax").rglob("*.py"), *(ROOT / "configs").rglob("*.py")]
    assert len(files) > 100
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def code_that_files_run(tree: ast.Module) -> list[str]:
    """Imports and calls by which the content of a file could run."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [f"import {name}" for name in modules if name.split(".")[0] in CODE_FORMATS]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {option.arg: option.value for option in node.keywords}
            if called in CODE_CALLS or "shell" in options:
                found.append(called)
            elif called in SAFE_BY:
                name, value = SAFE_BY[called]
                given = options.get(name)
                if not (isinstance(given, ast.Constant) and given.value is value):
                    found.append(f"{called} without {name}={value}")
    return found


def writes_by_name(tree: ast.Module) -> list[str]:
    """Calls that open a file for writing by a name that `atomic_write` did not give, links followed."""
    given = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if "atomic_write" in ast.unparse(item.context_expr) and item.optional_vars is not None
        for name in ast.walk(item.optional_vars)
        if isinstance(name, ast.Name)
    }
    # As a list: parts = [stack.enter_context(atomic_write(path)) for path in ...].
    given |= {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and "atomic_write" in ast.unparse(node.value)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_method = isinstance(node.func, ast.Attribute)
        name = called.rpartition(".")[2]
        if name not in ("open", "write_text", "write_bytes", "touch") or called in ("os.open", "zarr.open"):
            continue
        if is_method and called.startswith("files."):  # core.files.write_text
            continue
        if name == "write_text" and not is_method:
            continue
        modes = [*node.args[0 if is_method else 1 :], *(o.value for o in node.keywords if o.arg == "mode")]
        is_write = name != "open" or any(
            isinstance(part, ast.Constant) and re.fullmatch(r"[rbt]*[wax+][rbt+]*", str(part.value))
            for mode in modes[:1]
            for part in ast.walk(mode)
        )
        target = ast.unparse(node.func.value if is_method else node.args[0]).partition("[")[0]
        opener = any(
            option.arg == "opener" and "open_without_links" in ast.unparse(option.value)
            for option in node.keywords
        )
        if is_write and target not in given and not opener:
            found.append(ast.unparse(node)[:80])
    return found


def test_no_file_is_unpickled_or_run():
    found = {f"{path}: {fault}" for path, tree in sources() for fault in code_that_files_run(tree)}
    assert found == ALLOWED


def test_files_are_written_beside_their_place_or_not_through_links():
    found = {path: faults for path, tree in sources() if (faults := writes_by_name(tree))}
    assert found.keys() == WRITES_ALLOWED, found


def test_actions_of_the_continuous_integration_are_pinned_by_commit():
    """A tag can be moved to other code."""
    text = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").iterdir())
    used = re.findall(r"uses: (.*)", text)
    assert len(used) >= 5
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used), used


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from marshal import loads", "eval(text)", "torch.load(path)", "np.load(path)"),
        *("np.load(path, allow_pickle=True)", "run(line, shell=True)", "runpy.run_path(path)"),
    ],
)
def test_the_search_finds_code(line):
    assert code_that_files_run(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        *("path.open('w')", "open(path, 'ab')", "path.write_text(text)", "path.open(mode='r+')"),
        *("open(path, 'wb' if new else 'ab')", "path.write_bytes(b'')", "path.touch()"),
    ],
)
def test_the_search_finds_writes(line):
    assert writes_by_name(ast.parse(line))


def test_the_repository_holds_no_links():
    """One to an environment of its author's machine would break every other clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert len(listed.splitlines()) > 100
    assert not [line for line in listed.splitlines() if line.startswith("120000")]
