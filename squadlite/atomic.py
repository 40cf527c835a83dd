"""Files that are either the old one or the new one, whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".part"


@contextmanager
def atomic_write(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """
    Open a temporary file beside `path`; sync it and rename it to `path` when the block ends well.

    Killed at any moment, `path` is the old file or the new one. An exception in the block removes
    the temporary file and leaves `path` as it was.

    Args:
        path: the file to replace; its folder must exist.
        sync: wait until the disk has it, so that a power failure can't leave it damaged; for a file
            that is checked when it is read and can be made anew that takes too long.

    Yields:
        A binary file open for writing, seeking and reading back.

    Raises:
        OSError: the folder can't be written to.
    """
    # Most questions write nothing, and it takes a hundredth of their time to import.
    import tempfile  # noqa: PLC0415

    with _named_after(path):
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent
        )
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            if sync:
                _sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _named_after(path: Path) -> Iterator[None]:
    # The error of a full disk names no file, and that of a folder the temporary one.
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(_SUFFIX):
            error.filename = str(path)
        raise


def _umask() -> int:
    # The umask can only be read by setting it; mkstemp makes files that nobody else may read.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Windows can't open folders; there the rename itself is durable enough.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
