"""The reference page of a config's fields, made of their declarations: `python -m nucseg_jax.cli.config_reference`."""

import inspect
import typing
from collections.abc import Iterable

from nucseg_jax.config import Config
from nucseg_jax.core.config_field import EFFECTS, EFFECTS_OF_NO_RESULT, Declared, declared_fields

COMMAND = "python -m nucseg_jax.cli.config_reference > docs/config.md"


def config_reference() -> str:
    """Returns docs/config.md: a table of each section."""
    blocks = [
        f"<!-- Made from nucseg_jax/config/ by: {COMMAND} -->",
        "# Fields of a config",
        "Set a field after the config: `--config=quickstart --config.train.lr=3e-4`. `nucseg config` shows the same in"
        ' a terminal. The defaults are those of `configs/base.py`. "The paper" is Koishiyeva et al. (2024).',
        "A field affects:",
        table(
            ("affects", "meaning", "may change on resume"),
            (
                (f"`{effect}`", meaning, "yes" if effect in EFFECTS_OF_NO_RESULT else "no")
                for effect, meaning in EFFECTS.items()
            ),
        ),
    ]
    for name, section in typing.get_type_hints(Config).items():
        rows = (_row(item) for item in declared_fields(name, section))
        blocks += [
            f"## `{name}`",
            inspect.cleandoc(section.__doc__),
            table(("field", "default", "values", "affects", "meaning"), rows),
        ]
    return "\n\n".join(blocks) + "\n"


def table(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a table in Markdown.

    >>> print(table(("a", "b"), [("1", "2")]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [headers, *rows]
    written = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([written[0], "|" + "---|" * len(headers), *written[1:]])


def _row(item: Declared) -> tuple[str, ...]:
    default = str(item.default) if item.default != "" else "''"
    values = ", ".join(f"`{choice}`" for choice in item.choices) or item.allowed
    return f"`{item.name}`", f"`{default}`", values, f"`{item.affects}`", item.doc


if __name__ == "__main__":
    print(config_reference(), end="")
