"""The definition of a nucleus as JSON: a rule that was tuned is kept with its run, and read back strictly."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.parting import PARTINGS


def rule_to_json(rule: NucleusRule) -> dict[str, Any]:
    """Returns a rule as JSON values; `parting` has the name of its head in `head`."""
    return dataclasses.asdict(rule)


def rule_from_json(values: Mapping[str, Any]) -> NucleusRule:
    """Reads a rule from the values of `rule_to_json`; fields that are not there have their defaults.

    Raises:
      UserError: an unknown head or field, or a value that is no number or out of its range.

    >>> rule_from_json({"threshold": 0.4, "parting": {"head": "hover", "depth": 0.2}}).parting.depth
    0.2
    """
    numbers = dict(values)
    parting = numbers.pop("parting", {"head": "none"})
    if not isinstance(parting, Mapping) or parting.get("head") not in PARTINGS:
        raise UserError(
            f"the rule for nuclei has the parting {parting!r}",
            expected=f"its head, {', '.join(map(repr, PARTINGS))}, and its parameters",
        )
    parameters = {name: value for name, value in parting.items() if name != "head"}
    made = _made(PARTINGS[parting["head"]], parameters)
    rule: NucleusRule = _made(NucleusRule, numbers, parting=made)
    return rule


def _made(kind: type, numbers: Mapping[str, Any], **others: Any) -> Any:
    """An object of dataclass `kind` from numbers by the names of its fields, which are checked."""
    known = {each.name for each in dataclasses.fields(kind) if each.init} - set(others)
    for name, value in numbers.items():
        if name not in known:
            raise UserError(
                f"the rule for nuclei has a field {name!r}",
                expected=", ".join(sorted(known)),
                advice="if an earlier version of the package tuned it: remove nucleus_rule.json and results.json of the"
                " run, and rerun its train command, which tunes and scores again without training",
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{name} of the rule for nuclei is {value!r}", expected="a number")
    return kind(**numbers, **others)
