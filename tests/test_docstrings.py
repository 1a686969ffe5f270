"""Every example in a docstring is run, in whichever module it stands."""

import ast
import doctest
import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = [ROOT / "launch.py", *sorted((ROOT / "nucseg_jax").rglob("*.py"))]
EXAMPLES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): text.count(">>> ")
    for path in SOURCES
    if ">>> " in (text := path.read_text())
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_are_all_run_and_true(name):
    """doctest passes over what it does not take for a function of the module, such as one that is wrapped."""
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted == EXAMPLES[name]
    assert outcome.failed == 0


def pages() -> list[pathlib.Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")]


def test_the_links_of_pages_lead_somewhere():
    """To a file, and to a heading of it as GitHub names it."""
    assert len(pages()) > 15
    for page in pages():
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, heading = link.partition("#")
            if name.startswith(("http:", "https:")):
                continue
            file = page.parent / name if name else page
            assert file.exists(), f"{page.name}: {link}"
            if heading:
                titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
                assert heading in anchors, f"{page.name}: {link}"


def test_the_files_that_pages_name_are_there():
    """Pages outlive moves of what they point to; a changelog names what was there, a tutorial what it writes."""
    for page in [page for page in pages() if page.name != "CHANGELOG.md" and page.parent.name != "tutorials"]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.(?:py|html|ipynb))`", text):
            assert (ROOT / name).exists() or (ROOT / "nucseg_jax" / name).exists(), f"{page.name}: {name}"


def test_no_docstring_begins_as_half_a_sentence():
    """It begins with a verb ("Computes the variance of ...") or with the name of a value."""
    half = {"what", "which", "how", "whether", "of", "by", "who", "where", "whatever"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or "A"
                assert text.split()[0].lower() not in half, f"{path.name}: {text.splitlines()[0]}"
