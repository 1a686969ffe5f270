import os
import subprocess
import sys

import pytest

from nucseg_jax.runtime import huge_pages

PROGRAM = """
import os, sys
print(os.getpid(), sys.argv[1:], flush=True)
from nucseg_jax.runtime.huge_pages import restart_with_huge_pages
restart_with_huge_pages()
print(os.environ.get("GLIBC_TUNABLES"), flush=True)
"""


@pytest.fixture
def on_request(monkeypatch):
    monkeypatch.setattr(huge_pages, "huge_pages_on_request", lambda: True)


def run(**environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if name != huge_pages.TUNABLES}
    command = [sys.executable, "-c", PROGRAM, "--flag", "two words"]
    done = subprocess.run(command, capture_output=True, text=True, env={**kept, **environment}, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(
    not huge_pages.huge_pages_on_request(), reason="this machine gives no huge pages on request"
)
def test_the_process_starts_anew_once_with_its_id_and_arguments():
    before, after, tunables = run()
    assert before == after
    assert "['--flag', 'two words']" in before
    assert tunables == "glibc.malloc.hugetlb=1"


def test_who_has_decided_is_left_alone():
    _, tunables = run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert tunables == "glibc.malloc.hugetlb=0"


@pytest.mark.usefixtures("on_request")
def test_other_tunables_stay():
    environment = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2", "HOME": "/somewhere"}
    assert huge_pages.with_huge_pages(environment) == {
        "GLIBC_TUNABLES": "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1",
        "HOME": "/somewhere",
    }


@pytest.mark.parametrize(
    ("library", "mode"),
    [
        (("glibc", "2.31"), "always [madvise] never"),
        (("musl", "1.2"), "always [madvise] never"),
        (("", ""), "always [madvise] never"),
        (("glibc", "2.36"), "always madvise [never]"),
        (("glibc", "2.36"), "[always] madvise never"),
    ],
)
def test_where_they_cannot_be_asked_for_nothing_happens(monkeypatch, tmp_path, library, mode):
    switch = tmp_path / "enabled"
    switch.write_text(mode)
    monkeypatch.setattr(huge_pages, "SWITCH", switch)
    monkeypatch.setattr("platform.libc_ver", lambda: library)
    assert huge_pages.with_huge_pages({}) is None
