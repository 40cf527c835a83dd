"""What the benchmark asks of the operating system: memory held, files forgotten, sizes."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def peak_rss() -> int | None:
    """The most memory that this process has held at once, in bytes; None: the system won't say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return _max_rss()
    # Not ru_maxrss: Linux counts in it what the process that started this one held.
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _max_rss()


def _max_rss() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    count = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return count if sys.platform == "darwin" else count * 1024


def files_under(path: Path) -> Iterator[Path]:
    """The files of a folder and its folders, in order; of a file, itself."""
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())
    else:
        yield path


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files under a folder."""
    return sum(file.stat().st_size for file in files_under(path))


def forget(path: Path) -> bool:
    """
    Make the system read a file, or the files under a folder, from the disk next time.

    Returns:
        Whether it will: not every system and file system can be asked.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    return all(_forget_file(file) for file in files_under(path))


def _forget_file(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # what isn't on the disk yet can't be forgotten
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return not _is_cached(descriptor)
    finally:
        os.close(descriptor)


def _is_cached(descriptor: int) -> bool:
    # A read that mustn't wait fails where the bytes aren't in memory; it fetches none.
    if os.fstat(descriptor).st_size == 0:
        return False
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True
