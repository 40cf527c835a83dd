"""Files of the cache with what kernels need, each named by all that its content depends on."""

import functools
import importlib.util
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from squadlite.cache import default_cache_dir

_NAME_DIGITS = 32
_UNUSED_SECONDS = 30 * 24 * 3600


def kept_file(kind: str, key: object, suffix: str, cache_dir: Path | None = None) -> Path:
    """
    Where the cache has something; another version of ours or of llvmlite looks elsewhere.

    Args:
        kind: what it is.
        key: of all else that it depends on; its `repr` counts.
        suffix: of the file's name.
        cache_dir: `default_cache_dir()` if None.
    """
    digest = sha256(f"{_versions()} {key!r}".encode()).hexdigest()[:_NAME_DIGITS]
    return (cache_dir or default_cache_dir()) / f"{kind}-{digest}{suffix}"


def remove_unused(beside: Path, kind: str) -> None:
    """Remove files of a kind that nobody has read for a month: of former versions, as a rule."""
    for other in beside.parent.glob(f"{kind}-*"):
        # Another process may have removed it, or use it where that keeps it from being removed.
        with suppress(OSError):
            status = other.stat()
            if time.time() - max(status.st_atime, status.st_mtime) > _UNUSED_SECONDS:
                other.unlink()


@functools.cache
def _versions() -> str:
    # Of our own sources, and of the compiler. To ask llvmlite itself it would have to be imported.
    digest = sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    compiler = importlib.util.find_spec("llvmlite")
    if compiler is not None and compiler.origin is not None:
        status = Path(compiler.origin).stat()
        digest.update(f"{compiler.origin} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
