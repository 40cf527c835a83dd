"""Opening a book of any kind that squadlite reads."""

from pathlib import Path

from squadlite.errors import BookError, BrokenBookError
from squadlite.library.structure import Book, Chapter

__all__ = ["Book", "Chapter", "check_book_file", "open_book"]


def check_book_file(path: str | Path) -> Path:
    """
    The path of a book, if it is one of a file with something in it.

    Raises:
        BookError: there is no such file, or it can't be read.
        BrokenBookError: it is empty.
    """
    path = Path(path)
    if path.is_dir():
        raise BookError(f"{path}: a folder, expected a book's file")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise BookError(f"{path}: can't be read ({error.strerror})") from error
    if not first:
        raise BrokenBookError(f"{path.name}: an empty file, expected a book")
    return path


def open_book(path: str | Path) -> Book:
    """Read a book."""
    from squadlite.library.epub import read_epub

    return read_epub(check_book_file(path))
