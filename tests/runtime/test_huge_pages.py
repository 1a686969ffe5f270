import pytest

from nucseg_jax.runtime import huge_pages
from nucseg_jax.runtime.huge_pages import huge_pages_hint, with_huge_pages


def test_a_setting_of_the_user_stays():
    environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0", "HOME": "/somewhere"}
    assert with_huge_pages(environment) == environment


def test_other_tunables_stay_beside_it():
    environment = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2", "HOME": "/somewhere"}
    assert with_huge_pages(environment) == {
        "GLIBC_TUNABLES": "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1",
        "HOME": "/somewhere",
    }


@pytest.mark.parametrize(
    ("library", "given", "hint"),
    [
        ("glibc", "", "export GLIBC_TUNABLES=glibc.malloc.hugetlb=1"),
        ("glibc", "glibc.malloc.hugetlb=0", ""),
        ("", "", ""),
    ],
)
def test_the_hint_is_for_those_whom_it_helps(monkeypatch, library, given, hint):
    """Not for other C libraries, such as that of macOS, and not where it is set."""
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: (library, "2.36"))
    monkeypatch.setenv("GLIBC_TUNABLES", given)
    assert huge_pages_hint() == hint
