"""How many threads compute by default."""

import math
from pathlib import Path

import pytest

from squadlite import cores
from squadlite.cores import default_threads, granted_cores


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A folder with /proc and /sys as a process sees them."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        (
            "0::/a.slice/b.service\n",
            {
                "sys/fs/cgroup/a.slice/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "800000 100000\n",
            },
            2.0,
        ),
        (
            "4:memory:/x\n1:cpu,cpuacct:/docker/0f\n0::/\n",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/x/cpu.max": "1 100000\n",
            },
            0.5,
        ),
        (
            "1:cpu:/\n",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "what?\n"}, math.inf),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "100000 0\n"}, math.inf),
    ],
)
def test_the_least_that_a_control_group_grants_counts(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float
) -> None:
    assert granted_cores(system(tmp_path, groups, files)) == expected


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert granted_cores(tmp_path) == math.inf


@pytest.mark.parametrize(("granted", "threads"), [(math.inf, 8), (2.5, 3), (0.3, 1), (64.0, 8)])
def test_no_more_threads_compute_than_a_container_is_granted(
    monkeypatch: pytest.MonkeyPatch, granted: float, threads: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 16)
    monkeypatch.setattr(cores, "shown_cores", lambda: 8)
    monkeypatch.setattr(cores, "granted_cores", lambda: granted)
    assert default_threads() == threads
