"""Files that are either the old one or the new one, whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".part"


@contextmanager
def atomic_write(path: Path, *, sync: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """
    Open a temporary file beside `path`; sync it and rename it to `path` when the block ends well.

    Killed at any moment, `path` is the old file or the new one. An exception in the block removes
    the temporary file and leaves `path` as it was.

    Args:
        path: the file to replace; its folder must exist.
        sync: wait until the disk has it, so that a power failure can't leave it damaged; for a file
            that is checked when it is read and can be made anew that takes too long.
        mode: who may read and write it, as far as the umask lets them.

    Yields:
        A binary file open for writing, seeking and reading back.

    Raises:
        OSError: the folder can't be written to.
    """
    with _named_after(path):
        temporary, descriptor = _create_beside(path, mode)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            temporary.replace(path)
            if sync:
                _sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _named_after(path: Path) -> Iterator[None]:
    # The system's error of a full disk names no file, and that of a folder the temporary one.
    try:
        yield
    except OSError as error:
        if error.errno is not None and (
            error.filename is None or str(error.filename).endswith(_SUFFIX)
        ):
            error.filename = str(path)
        raise


def _create_beside(path: Path, mode: int) -> tuple[Path, int]:
    # Not by tempfile, whose files nobody else may read: what the umask lets others do can only be
    # found out by setting it, for all threads.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}{_SUFFIX}"
        with suppress(FileExistsError):
            return temporary, os.open(temporary, flags, mode)


def _sync_folder(folder: Path) -> None:
    # Windows can't open folders, and not every file system syncs them; there the rename itself is
    # durable enough.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
