"""Memory for tensors that come and go thousands of times a second."""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MIB = 1 << 20


def keep_freed_memory() -> None:
    """
    Have the C library keep what tensors free for the next ones; for the whole process.

    By default glibc gives a freed tensor of a few megabytes back to the system, which must then
    clear the pages of the next one: half as much time again in a forward pass. Elsewhere than on
    Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)  # the most that glibc takes
        mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
