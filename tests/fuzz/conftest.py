"""Writes how many cases were read and refused, where benchmarks/fuzz.py asks for it."""

import pytest

from tests.fuzz import cases


@pytest.fixture(scope="session", autouse=True)
def _tally():
    yield
    if cases.TALLY:
        cases.write_tally(cases.TALLY)
