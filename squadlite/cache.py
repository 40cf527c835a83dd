"""
The cache: files that can be made anew, each with its checksum behind it.

That is the CRC-32 of the sums of its blocks, and of what is left: it tells a damaged file from a
whole one in a tenth of the time of a cryptographic digest. Against others' writing stands that a
file is used only where its owner alone could write it.
"""

import mmap
import os
import stat
import sys
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from zlib import crc32

import numpy as np

from squadlite.atomic import atomic_write

_SUM_BYTES = 4
_BLOCK_BYTES = 1 << 15
_ABANDONED_SECONDS = 24 * 3600
# Others mustn't write it, though many systems' umask lets a user's group write new files.
_MODE = 0o644


def default_cache_dir() -> Path:
    """Where the cache is: SQUADLITE_CACHE, else the platform's folder for a user's caches."""
    if chosen := os.environ.get("SQUADLITE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "squadlite"


def is_usable(cached: Path) -> bool:
    """
    Whether a file is ours alone, and ends with the checksum of what stands before.

    Raises:
        OSError: there is no such file, or it can't be read.
    """
    with cached.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size < _SUM_BYTES or not _is_ours_alone(file):
            return False
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
            content[:-_SUM_BYTES] as image,
        ):
            return _checksum(image) == content[-_SUM_BYTES:]


def read_cached(cached: Path) -> bytes | None:
    """What a file of the cache holds; None where there is no whole one that is ours alone."""
    try:
        with cached.open("rb", buffering=0) as file:
            content = file.read() if _is_ours_alone(file) else b""
    except OSError:
        return None
    image, checksum = content[:-_SUM_BYTES], content[-_SUM_BYTES:]
    return image if _checksum(image) == checksum else None


def map_cached(cached: Path, n_bytes: int) -> mmap.mmap | None:
    """
    A file of the cache in memory, which all processes that map it share.

    Args:
        cached: the file.
        n_bytes: that it must hold.

    Returns:
        What it holds, and its checksum behind that; None where there is no whole one of this size
        that is ours alone.
    """
    try:
        with cached.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != n_bytes + _SUM_BYTES or not _is_ours_alone(file):
                return None
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError:
        return None
    with memoryview(mapped) as content, content[:n_bytes] as image:
        if _checksum(image) == content[n_bytes:]:
            return mapped
    mapped.close()
    return None


def write_cached(cached: Path, image: bytes | memoryview) -> bool:
    """
    Keep something in the cache.

    Returns:
        Whether it could be written. Where it can't, the next run makes it again.
    """
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cached.parent)
        with atomic_write(cached, sync=False, mode=_MODE) as file:
            file.write(image)
            file.write(_checksum(image))
    except OSError:
        return False
    return True


def _checksum(image: bytes | memoryview) -> bytes:
    whole = len(image) // _BLOCK_BYTES * _BLOCK_BYTES
    blocks = np.frombuffer(image, "<u8", whole // 8).reshape(-1, _BLOCK_BYTES // 8)
    checksum = crc32(image[whole:], crc32(blocks.sum(axis=1)))
    return checksum.to_bytes(_SUM_BYTES, "little")


def _is_ours_alone(file: FileIO) -> bool:
    # What another user could have written is not used: some of it is machine code.
    if sys.platform == "win32":
        # Its permission bits say nothing of others; a user's folder for caches is closed to them.
        return True
    status = os.fstat(file.fileno())
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left."""
    for part in folder.glob(".*.part"):
        # Another process may have given it its name meanwhile, or have removed it.
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()
