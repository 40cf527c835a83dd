"""Opening a book of any kind that squadlite reads."""

from pathlib import Path

from squadlite.library.structure import Book, Chapter

__all__ = ["Book", "Chapter", "open_book"]


def open_book(path: str | Path) -> Book:
    """Read a book."""
    from squadlite.library.epub import read_epub

    return read_epub(Path(path))
