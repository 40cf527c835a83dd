"""How many threads of this process can compute at once."""

import math
import os
from pathlib import Path

# Where a control group says how much of the processor its processes may have: in version 2, and in
# version 1. Either gives two numbers: microseconds of processor time, in so many of the clock's.
_LIMITS = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))


def usable_cores() -> int:
    """Logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shown_cores(root: Path = Path("/")) -> int | None:
    """
    Physical cores that Linux shows; None elsewhere.

    Args:
        root: where /sys is.
    """
    siblings = set()
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        try:
            # Siblings on one core name the same set.
            siblings.add((folder / "topology/thread_siblings_list").read_text().strip())
        except (OSError, UnicodeDecodeError):
            continue
    return len(siblings) or None


def granted_cores(root: Path = Path("/")) -> float:
    """
    How many cores' time Linux's control groups grant this process, as those of a container do.

    Args:
        root: where /proc and /sys are.

    Returns:
        The least that any group around it grants; inf where none says, as on other systems.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    granted = math.inf
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        folder = top / group.strip("/")
        # A container's groups may be named as they are outside, where it can't see them, and the
        # nearest one that it sees stands at the top.
        around = [folder, *folder.parents]
        granted = min(granted, *map(_granted_by, around[: around.index(top) + 1]))
    return granted


def _granted_by(group: Path) -> float:
    for names in _LIMITS:
        try:
            quota, period = (int(n) for name in names for n in (group / name).read_text().split())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf


def default_threads() -> int:
    """
    One for each physical core that this process is granted: two on one core would only share its
    multipliers, and more than a container may have would wait for one another.
    """
    cores = min(usable_cores(), shown_cores() or usable_cores())
    return math.ceil(min(cores, granted_cores()))
