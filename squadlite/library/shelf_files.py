"""The books in a folder, and in a Calibre library."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from squadlite.errors import BookError
from squadlite.library.kinds import Kind, detect_kind

# Of a book in several formats the first of these is read.
FORMATS = (
    *("epub", "azw3", "mobi", "azw", "prc", "fb2", "docx", "odt", "rtf", "pdf"),
    *("html", "htm", "xhtml", "md", "markdown", "txt"),
)
CALIBRE_DATABASE = "metadata.db"
_COUNT_TABLES = (
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('books', 'data')"
)
# Any text looks like these, so that other files are books of these kinds only by their names.
_TEXT_KINDS = frozenset([Kind.HTML, Kind.MARKDOWN, Kind.TEXT])


def find_books(path: Path) -> Iterator[Path]:
    """
    The files of books under a path.

    Args:
        path: a file, which is itself, whatever it is. A folder: what is in it and in the folders
            below, sorted by name, as far as the name or the content says it is a book; hidden ones
            and those that can't be entered are left out, and no folder is entered twice, whatever
            links lead to it. A Calibre library: each of its books once, in its best format.

    Raises:
        BookError: there is nothing of that name, or the folder can't be read.
    """
    if not path.is_dir():
        if not path.exists():
            raise BookError(f"{path}: no such file or folder")
        yield path
        return
    if _children(path) is None:
        raise BookError(f"{path}: a folder that can't be read")
    waiting = [path]
    entered: set[tuple[int, int]] = set()
    while waiting:
        place = waiting.pop()
        try:
            status = place.stat()
            if not place.is_dir():
                if place.is_file() and _is_book(place):
                    yield place
                continue
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        catalogued = _calibre_books(place)
        if catalogued is None:
            waiting += reversed(_children(place) or [])
        else:
            yield from catalogued


def _children(folder: Path) -> list[Path] | None:
    """What is in a folder and not hidden; None for one that can't be read."""
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError:
        return None


def _is_book(path: Path) -> bool:
    if path.suffix.lower().removeprefix(".") in FORMATS:
        return True
    try:
        return detect_kind(path) not in _TEXT_KINDS
    except (BookError, OSError):
        return False


def _calibre_books(folder: Path) -> list[Path] | None:
    """The files of a Calibre library's books; None where the folder isn't one."""
    database = folder / CALIBRE_DATABASE
    if not database.is_file():
        return None
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        ) as calibre:
            # A view of somebody else's could have rows without end.
            if calibre.execute(_COUNT_TABLES).fetchone() != (2,):
                return None
            rows = calibre.execute(
                "SELECT books.id, books.path, data.name, data.format FROM books"
                " JOIN data ON data.book = books.id ORDER BY books.path, books.id"
            ).fetchall()
    except sqlite3.Error:
        return None
    root = folder.resolve()
    best: dict[int, tuple[int, Path]] = {}
    for book, place, name, kind in rows:
        extension = str(kind).lower()
        path = folder / str(place) / f"{name}.{extension}"
        if extension not in FORMATS or not _is_file_below(root, path):
            continue
        rank = FORMATS.index(extension)
        if book not in best or rank < best[book][0]:
            best[book] = rank, path
    return [path for _, path in best.values()]


def _is_file_below(root: Path, path: Path) -> bool:
    """Whether a path that is data of somebody else's, and may lead anywhere, leads to a file."""
    try:
        return path.resolve().is_relative_to(root) and path.is_file()
    except (OSError, RuntimeError, ValueError):  # links in a circle, names that no file can have
        return False
