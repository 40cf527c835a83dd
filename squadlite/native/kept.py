"""Files of the cache with what kernels need, each named by all that its content depends on."""

import functools
import importlib.util
from hashlib import sha256
from pathlib import Path

from squadlite.cache import default_cache_dir

_NAME_DIGITS = 32


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
