"""The fields of a config as text for a terminal, from their declarations."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from nucseg_jax.config import config_fields
from nucseg_jax.core.config_field import Declared
from nucseg_jax.core.errors import UserError
from nucseg_jax.core.nearest import did_you_mean, did_you_mean_field

_WIDTH = 80
_INDENT = "    "


def field_texts(
    names: Sequence[str] = (), values: Mapping[str, Mapping[str, Any]] | None = None
) -> list[str]:
    r"""Describes fields of a config, a few lines each.

    Args:
      names: sections, or 'section.field'; () = all fields.
      values: of a config, {section: {field: value}}; None = the defaults.

    Raises:
      UserError: there is no such section or field; it names the nearest.

    >>> print(*field_texts(["loss.l2"]), sep="\n")
    loss.l2 = 0.02
        Adds l2 * sum(w^2) to the loss, as Keras's l2(); Table 1.
        at least 0; affects results
    """
    fields = config_fields()
    sections = {name.partition(".")[0] for name in fields}
    for name in names:
        if name not in fields and name not in sections:
            near = did_you_mean_field(name, fields) if "." in name else did_you_mean(name, sections)
            raise UserError(
                f"configs have no {'field' if '.' in name else 'section'} {name}{near}",
                expected=f"one of the sections {', '.join(sorted(sections))}, or SECTION.FIELD",
            )
    chosen = [
        declared
        for name, declared in fields.items()
        if not names or name in names or name.partition(".")[0] in names
    ]
    return [_text(declared, values) for declared in chosen]


def _text(declared: Declared, values: Mapping[str, Mapping[str, Any]] | None) -> str:
    section, _, key = declared.name.partition(".")
    value = declared.default if values is None else values[section][key]
    head = f"{declared.name} = {value!r}"
    if value != declared.default:
        head += f" (default {declared.default!r})"
    facts = "; ".join(part for part in (declared.allowed, f"affects {declared.affects}") if part)
    lines = [
        line
        for text in (declared.doc, facts)
        for line in textwrap.wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    ]
    return "\n".join([head, *lines])
