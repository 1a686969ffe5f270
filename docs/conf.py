"""The site: `make docs` builds it from the pages of this folder into build/site."""

import hashlib
import os
import pathlib
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import myst_nb.core.render

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_ABOUT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _ABOUT["name"]
release = _ABOUT["version"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["real_patches"]
# Tutorials are executed, each in an empty folder, and a cell that fails ends the build. They run again when one of
# their cells or the package changes: results of an earlier version would be false.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# No script from elsewhere.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
# `name` in a docstring is code, and "--flag" has two dashes.
default_role = "code"
smartquotes = False
html_theme = "furo"
html_title = "nucseg_jax"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
# Headings of a page are targets of links, as on GitHub.
myst_heading_anchors = 3
add_module_names = False
autodoc_typehints = "none"
# Types stand in words, with shapes: they are no references.
nitpick_ignore_regex = [("py:class", ".*")]
# Mermaid, which GitHub draws, is shown as text.
suppress_warnings = ["misc.highlighting_failure"]
autodoc_member_order = "bysource"


def _digest_of_the_package() -> str:
    digest = hashlib.sha256()
    for folder in ("nucseg_jax", "configs"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


nb_execution_cache_path = str(_ROOT / "build" / "tutorials" / _digest_of_the_package())
# Cells call `nucseg`, which lies beside this Python, whether or not its environment is active.
os.environ["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
# No alarm of XLA's in a page that was built on a busy machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Output of a width that fits the page.
os.environ.setdefault("COLUMNS", "80")

# Files beside this folder, by the pages of the site that show them.
_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "nucseg_jax/pretrained_models/small/README.md": "small.md",
}


def _joined_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins the pieces of each stream as they are; myst-nb ends each with a line break, wherever IPython cut it."""
    joined: list[dict[str, Any]] = []
    streams: dict[str, dict[str, Any]] = {}
    for output in outputs:
        name = output.get("name", "")
        if output["output_type"] != "stream":
            joined.append(output)
        elif name in streams:
            streams[name]["text"] += output["text"]
        else:
            streams[name] = output
            joined.append(output)
    return joined


def _to_pages_of_the_site(app: "Sphinx", name: str, source: list[str]) -> None:
    """Leads links to files beside this folder to their pages, and begins the first page with the README."""
    if name == "index":
        readme = (_ROOT / "README.md").read_text(encoding="utf-8").partition("## Pages")[0]
        source[0] = source[0].replace("{README}", readme.replace("](docs/", "]("))
    _lead_links_to_pages(source)


def _of_an_included_file(app: "Sphinx", path: pathlib.Path, parent: str, source: list[str]) -> None:
    """Does the same for a file that a page consists of."""
    _lead_links_to_pages(source)


def _lead_links_to_pages(source: list[str]) -> None:
    for file, page in _PAGES.items():
        for link in (f"](../{file}", f"]({file}"):
            source[0] = source[0].replace(link, f"]({page}")


def _indented_is_code(
    app: "Sphinx", what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Makes code of what is indented after a line that ends with a colon, as docstrings of this package have it."""
    for number in range(len(lines) - 2):
        line, after, block = lines[number : number + 3]
        if line.endswith(":") and not line.startswith(":") and not after and block.startswith("    "):
            lines[number] += ":"


def setup(app: "Sphinx") -> None:
    """Called by Sphinx."""
    myst_nb.core.render.coalesce_streams = _joined_streams
    # After napoleon, which makes lists of Args and Raises.
    app.connect("autodoc-process-docstring", _indented_is_code, priority=900)
    app.connect("source-read", _to_pages_of_the_site)
    app.connect("include-read", _of_an_included_file)
