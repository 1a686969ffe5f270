import os

from nucseg_jax.core.memory import available_host_bytes


def test_available_memory_is_some_of_what_is_built_in():
    available = available_host_bytes()
    assert available is None or 0 < available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
