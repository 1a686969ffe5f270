"""The commands that pages and tutorials show can be typed: verbs, flags and fields exist. None of them is run."""

import pathlib
import re
import shlex

import click
import pytest

from nucseg_jax.cli.given_config import load_config, split_overrides
from nucseg_jax.cli.main import VERBS
from nucseg_jax.core.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *TUTORIALS]
# Names that stand for something of the reader's.
PLACEHOLDER = re.compile(r"\.\.\.|…|\[--|C:|VERB")


def commands_of(page: str) -> list[str]:
    """Returns the command lines of a page's code blocks, without comments and what they are piped into."""
    commands = []
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            found = re.match(r"\s*(?:srun .*?)?(?:\S*python launch\.py|nucseg) (?=[a-z])(.*)", line)
            if found and not PLACEHOLDER.search(line):
                words = shlex.split(found[1], comments=True)
                pipe = words.index("|") if "|" in words else len(words)
                commands.append(shlex.join(words[:pipe]))
    return commands


def check(command: str) -> None:
    """Parses a command line as `nucseg` does, and reads its config with what the command changes in it."""
    overrides, words = split_overrides(shlex.split(command))
    verb, *flags = words
    context = VERBS[verb].make_context(verb, flags)
    name = context.params.get("config")
    if name and not name.endswith(".json"):
        load_config(name, overrides).checked()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_can_be_typed(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in commands_of(page.read_text(encoding="utf-8")):
        try:
            check(command)
        except click.exceptions.Exit:
            assert "--help" in command, command
        except (click.UsageError, UserError, KeyError) as error:
            pytest.fail(f"{page.name}: nucseg {command}\n{error!r}")


def test_a_misspelt_verb_flag_or_field_is_noticed(monkeypatch):
    monkeypatch.chdir(ROOT)
    page = "```\nnucseg train --config=quickstart \\\n  --config.train.epochs=6 --workdir=runs/first  # a run\n```\n"
    (command,) = commands_of(page)
    check(command)
    for right, wrong in (("train ", "tain "), ("--workdir", "--work_dir"), ("train.epochs", "train.epoch")):
        with pytest.raises((click.UsageError, UserError, KeyError)):
            check(command.replace(right, wrong, 1))


def test_every_tutorial_runs_commands_or_the_library_and_leads_on():
    """A tutorial is executed in the build of the site, shows a result and names what to read next."""
    assert len(TUTORIALS) == 6
    for path in TUTORIALS:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("---\nfile_format: mystnb\n"), path.name
        assert text.count("```{code-cell} ipython3\n") >= 4, path.name
        assert not re.search("hide-|remove-", text), path.name
        assert "\n## Next\n" in text, path.name
