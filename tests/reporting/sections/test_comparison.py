import pytest

from nucseg_jax.reporting.sections.comparison import MOST_FOR_ALL_PAIRS, choose_pairs


@pytest.mark.parametrize("number", [1, 2, MOST_FOR_ALL_PAIRS, MOST_FOR_ALL_PAIRS + 1, 12])
def test_every_configuration_is_compared_and_no_pair_comes_twice(number):
    pairs = choose_pairs([f"model {place % 3}" for place in range(number)])
    assert all(0 <= second < first < number for first, second in pairs)
    assert len(set(pairs)) == len(pairs)
    assert {first for first, _ in pairs} == set(range(1, number))
    if number > MOST_FOR_ALL_PAIRS:
        assert len(pairs) == number - 1
