import os

import pytest

from nucseg_jax.core.memory import _control_group_limit_bytes, available_host_bytes


def test_available_memory_is_some_of_what_is_built_in():
    available = available_host_bytes()
    assert available is None or 0 < available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("groups", "limits", "lowest"),
    [
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/\n", {"memory.max": "5000"}, 5000),
        (
            "0::/system.slice/job_7\n",
            {"system.slice/job_7/memory.max": "max", "system.slice/memory.max": "70"},
            70,
        ),
        ("0::/job\n", {"job/memory.max": "40", "memory.max": "60"}, 40),
        (
            "9:cpu:/other\n8:memory,hugetlb:/slurm/job_7\n",
            {
                "memory/slurm/job_7/memory.limit_in_bytes": "300",
                "memory/memory.limit_in_bytes": str(2**63 - 4096),
            },
            300,
        ),
        ("8:memory:/not/seen/from/here\n", {"memory/memory.limit_in_bytes": "80"}, 80),
        (None, {}, None),
    ],
)
def test_the_lowest_limit_of_all_control_groups_above_counts(groups, limits, lowest, tmp_path):
    for name, text in limits.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    assert _control_group_limit_bytes(tmp_path / "cgroup", tmp_path / "groups") == lowest
