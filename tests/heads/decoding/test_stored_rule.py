import json

import pytest

from nucseg_jax.core.errors import UserError
from nucseg_jax.heads.decoding.find_nuclei import NucleusRule
from nucseg_jax.heads.decoding.parting import PARTINGS
from nucseg_jax.heads.decoding.stored_rule import rule_from_json, rule_to_json


@pytest.mark.parametrize("head", list(PARTINGS))
def test_a_rule_comes_back_as_it_was(head):
    parting = PARTINGS[head](**{PARTINGS[head].tuned: PARTINGS[head].grid[0]})
    rule = NucleusRule(threshold=0.35, smallest_um2=1.5, parting=parting)
    assert rule_from_json(json.loads(json.dumps(rule_to_json(rule)))) == rule
    assert rule_from_json({"parting": {"head": head}}) == NucleusRule(parting=PARTINGS[head]())
    assert rule_from_json({}) == NucleusRule()


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 0.2},
        {"threshold": "0.5"},
        {"threshold": True},
        {"threshold": 2},
        {"parting": "hover"},
        {"parting": {"depth": 0.2}},
        {"parting": {"head": "star"}},
        {"parting": {"head": "hover", "neck_um": 0.5}},
        {"parting": {"head": "hover", "depth": None}},
    ],
)
def test_other_values_are_refused(values):
    with pytest.raises(UserError):
        rule_from_json(values)


def test_a_rule_of_an_earlier_decoder_is_refused_with_the_way_to_tune_it_again():
    for parting in ({"head": "hover", "tau": 0.1}, {"head": "distance", "seed_above": 0.5}):
        with pytest.raises(UserError, match=r"remove nucleus_rule\.json and results\.json"):
            rule_from_json({"parting": parting})
