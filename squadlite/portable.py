"""Files that can be sent to other machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


class PortablePath:
    """
    A file, or the files of a folder: pickled, it takes their content along.

    Args:
        path: of the file or folder. What folders in it hold isn't taken along.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # None at home; an error of reading it is told where the file is asked for.
        self._content: dict[str, bytes] | OSError | None = None

    @contextmanager
    def here(self) -> Iterator[Path]:
        """
        Where it is on this machine: as long as the block lasts, a file or folder of its name.

        Raises:
            OSError: it couldn't be read when it was sent, or can't be written here.
        """
        if self._content is None:
            yield self._path
            return
        if isinstance(self._content, OSError):
            raise self._content
        # Windows doesn't remove files that are still open.
        with TemporaryDirectory(prefix="squadlite-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / self._path.name
            if "" not in self._content:
                path.mkdir()
            for name, content in self._content.items():
                (path / name).write_bytes(content)
            yield path

    def __str__(self) -> str:
        return str(self._path)

    def __getstate__(self) -> tuple[Path, dict[str, bytes] | OSError]:
        if self._content is not None:
            return self._path, self._content
        try:
            return self._path, _read(self._path.resolve())
        except OSError as error:
            return self._path, error

    def __setstate__(self, state: tuple[Path, dict[str, bytes] | OSError]) -> None:
        self._path, self._content = state


def _read(path: Path) -> dict[str, bytes]:
    """The content of the files of a folder, by name; that of a file under no name."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    return {"": path.read_bytes()}
