"""The cache: files that can be made anew, each with its SHA-256 behind it."""

import hashlib
import os
import sys
import time
from pathlib import Path

from squadlite.atomic import atomic_write

_DIGEST_BYTES = 32
_CHUNK_BYTES = 1 << 18
_ABANDONED_SECONDS = 24 * 3600


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


def is_whole(cached: Path) -> bool:
    """
    Whether a file ends with the digest of what stands before.

    Raises:
        OSError: there is no such file, or it can't be read.
    """
    digest = hashlib.sha256()
    with cached.open("rb", buffering=0) as file:
        remaining = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
        while remaining > 0 and (chunk := file.read(min(_CHUNK_BYTES, remaining))):
            digest.update(chunk)
            remaining -= len(chunk)
        return file.read() == digest.digest()


def read_cached(cached: Path) -> bytes | None:
    """What a file of the cache holds, its digest checked; None where there is no whole one."""
    try:
        content = cached.read_bytes()
    except OSError:
        return None
    image, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    return image if hashlib.sha256(image).digest() == digest else None


def write_cached(cached: Path, image: bytes) -> bool:
    """
    Keep something in the cache.

    Returns:
        Whether it could be written. Where it can't, the next run makes it again.
    """
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cached.parent)
        with atomic_write(cached) as file:
            file.write(image)
            file.write(hashlib.sha256(image).digest())
    except OSError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left."""
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink(missing_ok=True)
