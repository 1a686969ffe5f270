"""Text that the package prints: counts agree with their nouns, and no bar fills a log file."""

import ast
import re

from nucseg_jax.core.counted import counted
from tests.conftest import ROOT

FILES = [*sorted((ROOT / "nucseg_jax").rglob("*.py")), ROOT / "launch.py"]
# Things of which there may be one. Bytes and pixels come by the thousand.
COUNTABLE = (
    "images|patches|rows|epochs|steps|tiles|nuclei|processes|devices|arrays|checkpoints|commits|cores|classes|values"
    "|channels|tissues|figures|files|runs|gaps|attempts|samples"
)
_AFTER_A_VALUE = re.compile(rf" (?:(?:training|other|different) )?(?:{COUNTABLE})\b(?!/| a fold)")


def uncounted(text: str) -> list[int]:
    """Lines of f-strings in which a countable noun in the plural follows a value that may be one."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            is_constant = isinstance(value.value, ast.Name) and value.value.id.lstrip("_").isupper()
            if not is_constant and _AFTER_A_VALUE.match(str(after.value)):
                lines.append(value.lineno)
    return lines


def bars_in_log_files(text: str) -> list[int]:
    """Lines of progress bars that also write, with carriage returns, where standard error is no terminal."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("tqdm", "tqdm.tqdm", "trange", "tqdm.trange")
        and "disable" not in {keyword.arg for keyword in node.keywords}
    ]


def test_what_is_looked_for_is_found():
    assert uncounted(
        'f"{n:,} images"; f"{n} training patches"; f"{_MOST} rows"; f"{counted(n, \'row\')} of"'
    ) == [1, 1]
    assert bars_in_log_files("tqdm.tqdm(x)\ntqdm(x, disable=None)") == [1]


# Messages of programming errors, and counts of which there are always several; each was looked at.
ALLOWED = {
    *("data/sources/pannuke/labels.py", "data/sources/pannuke/patches.py"),
    *("reporting/sections/runs.py", "runtime/mesh.py", "images/open_source.py"),
    *("cli/table.py", "evaluation/contact_sheet.py", "evaluation/counts.py", "evaluation/scores.py"),
    *("training/paced_fit.py", "core/counted.py"),
}


def test_counts_agree_with_their_nouns_and_bars_keep_out_of_log_files():
    text = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
    assert {name: lines for name, each in text.items() if (lines := bars_in_log_files(each))} == {}
    found = {name: lines for name, each in text.items() if (lines := uncounted(each))}
    assert {name: lines for name, lines in found.items() if name.partition("/")[2] not in ALLOWED} == {}


def test_plurals():
    nouns = ("image", "patch", "nucleus", "process", "class", "training patch")
    assert [counted(2, noun) for noun in nouns] == [
        *("2 images", "2 patches", "2 nuclei", "2 processes", "2 classes", "2 training patches"),
    ]
    assert [counted(number, "run") for number in (0, 1, 1344)] == ["0 runs", "1 run", "1,344 runs"]
