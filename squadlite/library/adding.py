"""Adding books to a library: which files are new, changed, moved or duplicates."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from squadlite.digests import digest_of
from squadlite.engines import Engine
from squadlite.errors import BookError
from squadlite.library.book import check_book_file, open_book
from squadlite.library.database import Database
from squadlite.library.index import BookIndex
from squadlite.library.index_building import INDEX_VERSION
from squadlite.library.shelf_files import find_books
from squadlite.library.stored import Content, delete_book, write_book
from squadlite.portable import PortablePath
from squadlite.progress import Progress


class Change(Enum):
    """What adding a file came to."""

    ADDED = "added"
    UPDATED = "updated"
    MOVED = "moved"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True)
class FileReport:
    """
    What adding one file came to.

    Attributes:
        path: the file.
        change: what became of it.
        book: its book's number; None where it can't be read.
        detail: why it can't be read, or where it was before, or whose duplicate it is; else "".
    """

    path: Path
    change: Change
    book: int | None
    detail: str = ""


def add_books(
    database: Database,
    paths: Iterable[str | Path],
    *,
    engine: Engine,
    progress: Progress | None = None,
) -> list[FileReport]:
    """Add books to a library's file; see `Library.add`."""
    known = _known_files(database)
    unchanged, to_read, failed = [], [], []
    files: dict[Path, None] = {}
    for named in map(Path, paths):
        try:
            files.update(dict.fromkeys(file.resolve() for file in find_books(named)))
        except BookError as error:
            failed.append(FileReport(named, Change.FAILED, None, str(error)))
    for path in files:
        entry = known.get(str(path))
        if entry is not None and entry.is_current and entry.stamp == _stamp(path):
            unchanged.append(FileReport(path, Change.UNCHANGED, entry.book))
        else:
            to_read.append(path)
    looked_at: deque[_BookFile | BookError] = deque()

    def new() -> Iterator[PortablePath | None]:
        for path in to_read:
            file = _look_at(path)
            looked_at.append(file)
            is_new = isinstance(file, _BookFile) and not _is_indexed(database, file.digest)
            yield PortablePath(path) if is_new else None

    read = []
    for path, content in zip(to_read, engine.map(_read, new()), strict=True):
        read.append(_add(database, path, looked_at.popleft(), content))
        if progress is not None:
            progress(len(read), len(to_read))
    _remove_orphans(database)
    return unchanged + read + failed


def _known_files(database: Database) -> dict[str, "_KnownFile"]:
    return {
        path: _KnownFile(book, (size, mtime_ns), version == INDEX_VERSION)
        for path, book, size, mtime_ns, version in database.rows(
            "SELECT path, book, size, mtime_ns, index_version FROM files JOIN books ON id = book"
        )
    }


def _look_at(path: Path) -> "_BookFile | BookError":
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return BookError(f"{str(path)!r}: a name that isn't text, expected UTF-8")
    try:
        check_book_file(path)
        # Before the content, so that a file which changes meanwhile is read again next time.
        return _BookFile(path, _stamp(path), digest_of(path))
    except BookError as error:
        return error
    except OSError as error:
        return BookError(f"{path}: can't be read ({error})")


def _add(
    database: Database,
    path: Path,
    file: "_BookFile | BookError",
    content: "Content | BookError | None",
) -> FileReport:
    """
    Enter a file that was looked at.

    Args:
        path: the file's.
        file: what was seen, or why it can't be read.
        content: its book's, or why there is none; None where the library had it.
    """
    while True:
        if isinstance(file, BookError):
            return FileReport(path, Change.FAILED, None, str(file))
        if isinstance(content, BookError):
            return FileReport(path, Change.FAILED, None, str(content))
        if content is not None and file.stamp != _stamp(path):
            return FileReport(path, Change.FAILED, None, f"{path}: changed while it was read")
        with database.writing():
            if content is not None or _is_indexed(database, file.digest):
                return _record(database, file, content)
        # Another file of the book was found to hold something else since.
        content = _read(PortablePath(path))


def _is_indexed(database: Database, digest: str) -> bool:
    return bool(
        database.rows(
            "SELECT 1 FROM books WHERE digest = ? AND index_version = ?", digest, INDEX_VERSION
        )
    )


def _record(database: Database, file: "_BookFile", content: "Content | None") -> FileReport:
    """Enter a file whose content the library has, or is given here."""
    path, digest = file.path, file.digest
    before = database.rows("SELECT book FROM files WHERE path = ?", str(path))
    same = database.rows("SELECT id, index_version FROM books WHERE digest = ?", digest)
    if same and same[0][1] == INDEX_VERSION:
        ((book, _),) = same
        change, detail = _recognize(database, path, book)
    elif content is not None:
        book = same[0][0] if same else _earlier_content(database, before, content.index)
        book = write_book(database, book, digest, content)
        change, detail = Change.UPDATED if before else Change.ADDED, ""
    database.write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", str(path), book, *file.stamp)
    return FileReport(path, change, book, detail)


def _recognize(database: Database, path: Path, book: int) -> tuple[Change, str]:
    """What a file with the content of a book is, beside the book's other files."""
    paths = [
        path
        for (path,) in database.rows("SELECT path FROM files WHERE book = ? ORDER BY path", book)
    ]
    if str(path) in paths:
        return Change.UNCHANGED, ""
    for other in paths:
        if not Path(other).exists():
            database.write("DELETE FROM files WHERE path = ?", other)
            return Change.MOVED, other
    # A book without files is one whose file has just been found to hold another.
    return (Change.DUPLICATE, paths[0]) if paths else (Change.MOVED, "")


def _earlier_content(
    database: Database, before: Sequence[tuple[int]], index: BookIndex
) -> int | None:
    """The book that a file held before, if it was an earlier version of this one."""
    for (book,) in before:
        (files,) = database.rows("SELECT count(*) FROM files WHERE book = ?", book)[0]
        same = database.rows(
            "SELECT 1 FROM books WHERE id = ? AND title = ? AND author = ?",
            book,
            index.title,
            index.author,
        )
        if same and files == 1:
            return book
    return None


def _remove_orphans(database: Database) -> None:
    """Remove books whose files have been found to hold others."""
    orphans = "SELECT id FROM books WHERE id NOT IN (SELECT book FROM files)"
    if not database.rows(orphans):
        return
    with database.writing():
        for (book,) in database.rows(orphans):
            delete_book(database, book)
    database.shrink()


@dataclass(frozen=True)
class _KnownFile:
    book: int
    stamp: tuple[int, int]
    is_current: bool


@dataclass(frozen=True)
class _BookFile:
    path: Path
    stamp: tuple[int, int]
    digest: str


def _read(file: PortablePath | None) -> Content | BookError | None:
    """Read and index a book, wherever that is done; an error is a result like others."""
    if file is None:
        return None
    try:
        with file.here() as path:
            return Content.of(open_book(path))
    except BookError as error:
        return error
    except OSError as error:
        return BookError(f"{file}: can't be read ({error})")


def _stamp(path: Path) -> tuple[int, int]:
    """A file's size and time of change; none that any file has where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
