"""How many threads of this process can compute at once."""

import os
from pathlib import Path


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


def default_threads() -> int:
    """One for each physical core: two on one core would only share its multipliers."""
    return min(usable_cores(), shown_cores() or usable_cores())
