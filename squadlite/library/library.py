"""A library: many books in one SQLite file, each with its index, asked together."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from squadlite.closing import Closing
from squadlite.engines import LOCAL, Engine
from squadlite.errors import LibraryError
from squadlite.library.adding import FileReport, add_books
from squadlite.library.bound import Bound
from squadlite.library.database import Database
from squadlite.library.index import BookIndex
from squadlite.library.index_building import INDEX_VERSION
from squadlite.library.shelf import Shelf, ShelvedBook
from squadlite.library.stored import (
    add_vectors,
    delete_book,
    delete_terms,
    load_index,
    write_terms,
)
from squadlite.library.structure import Cover
from squadlite.library.vectors import TextEmbedder
from squadlite.progress import Progress


@dataclass(frozen=True)
class Position:
    """Where in a book its reader is: in which chapter, from 0, and behind how many characters."""

    chapter: int
    offset: int


@dataclass(frozen=True)
class LibraryBook:
    """
    A book of a library.

    Attributes:
        id: its number, which no other book ever gets.
        title, author, language: as the book names them; "" where it doesn't.
        paths: its file, and any with the same content.
        chapters, passages: how many it has.
        is_current: whether this version of squadlite can search it; adding its file again helps.
        vectors: the digest of the model that its vectors are of; None where it has none.
        until: how far it has been read, and may be told of; None: to its end.
        known_passages: how many passages there are up to there.
        position: where its reader is; None where nobody has said so.
        has_cover: whether `Library.cover` has a picture.
    """

    id: int
    title: str
    author: str
    language: str
    paths: tuple[Path, ...]
    chapters: int
    passages: int
    is_current: bool
    vectors: str | None
    until: Bound | None
    known_passages: int
    position: Position | None
    has_cover: bool


@dataclass(frozen=True)
class LibraryStatus:
    """
    What a library holds, and what is still to be done.

    Attributes:
        path: the library's file.
        n_bytes: its size, with what SQLite keeps beside it.
        books, passages, files: how many it has.
        missing_files: files that are gone.
        books_without_vectors: books that no model's vectors were made for yet.
        outdated_books: books that this version of squadlite has to index anew.
    """

    path: Path
    n_bytes: int
    books: int
    passages: int
    files: int
    missing_files: int
    books_without_vectors: int
    outdated_books: int


def default_library_file() -> Path:
    """Where the library is: SQUADLITE_LIBRARY, else in the platform's folder for a user's data."""
    if chosen := os.environ.get("SQUADLITE_LIBRARY"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "squadlite" / "library.db"


class Library(Closing):
    """
    Books in one file; a context manager. Several processes may use the file at a time.

    Args:
        path: the file, made where there is none; None: `default_library_file()`.

    Raises:
        LibraryError: it isn't a library, is of a later version, or can't be opened.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path) if path is not None else default_library_file()
        self._database = Database(self.path)

    def add(
        self,
        paths: Iterable[str | Path],
        *,
        engine: Engine = LOCAL,
        progress: Progress | None = None,
    ) -> list[FileReport]:
        """
        Add books, or bring them up to date.

        A file whose size and time are those known isn't read. Of others the content's digest says
        whether they are new, changed, moved or a duplicate. Each book is one transaction: killed at
        any moment, the library has the book or hasn't, and adding the same files again goes on.

        Args:
            paths: files of books, and folders of them.
            engine: where books are read and indexed; the library is written here.
            progress: called with (files done, files to be read).

        Returns:
            What each file came to, those that can't be read among them.

        Raises:
            LibraryError: the library's file can't be written.
            EngineError: see `Engine.map`.
        """
        return add_books(self._database, paths, engine=engine, progress=progress)

    def add_vectors(
        self,
        embedder: TextEmbedder,
        *,
        engine: Engine = LOCAL,
        progress: Progress | None = None,
    ) -> None:
        """
        Make the vectors of all books that have none of this model; each book's are kept at once.

        Args:
            embedder: the model.
            engine: where they are made.
            progress: called with (passages done, passages to be done).

        Raises:
            LibraryError: the library's file can't be written.
            EngineError: see `Engine.map`.
        """
        books = self._without_vectors(embedder.digest)
        add_vectors(self._database, books, embedder, engine=engine, progress=progress)

    def lacks_vectors(self, model: str) -> bool:
        """Whether a book has no vectors of a model, named by its digest."""
        return bool(self._without_vectors(model))

    def _without_vectors(self, model: str) -> list[int]:
        """The books without vectors of a model."""
        rows = self._database.rows(
            "SELECT id FROM books LEFT JOIN vectors ON book = id"
            " WHERE index_version = ? AND model IS NOT ? ORDER BY id",
            INDEX_VERSION,
            model,
        )
        return [book for (book,) in rows]

    def books(self) -> list[LibraryBook]:
        """All books, in the order in which they were added."""
        paths: dict[int, list[Path]] = {}
        for book, path in self._database.rows("SELECT book, path FROM files ORDER BY path"):
            paths.setdefault(book, []).append(Path(path))
        rows = self._database.rows(
            "SELECT id, title, author, language, chapters, passages, index_version, model,"
            " until_chapter, until_end, known_passages, position_chapter, position_offset,"
            " media_type IS NOT NULL"
            " FROM books LEFT JOIN vectors ON vectors.book = id"
            " LEFT JOIN covers ON covers.book = id ORDER BY id"
        )
        return [
            LibraryBook(
                id=id,
                title=title,
                author=author,
                language=language,
                paths=tuple(paths[id]),
                chapters=chapters,
                passages=passages,
                is_current=version == INDEX_VERSION,
                vectors=model,
                until=None if chapter is None else Bound(chapter, end),
                known_passages=known,
                position=None if place is None else Position(place, offset),
                has_cover=bool(has_cover),
            )
            for (
                id, title, author, language, chapters, passages, version, model,
                chapter, end, known, place, offset, has_cover,
            ) in rows
            if id in paths
        ]  # fmt: skip

    def status(self) -> LibraryStatus:
        """What the library holds, and what is still to be done."""
        books = self.books()
        files = [path for book in books for path in book.paths]
        kept = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return LibraryStatus(
            path=self.path,
            n_bytes=sum(file.stat().st_size for file in kept if file.exists()),
            books=len(books),
            passages=sum(book.passages for book in books),
            files=len(files),
            missing_files=sum(not path.exists() for path in files),
            books_without_vectors=sum(book.vectors is None for book in books),
            outdated_books=sum(not book.is_current for book in books),
        )

    def find(self, name: str) -> LibraryBook:
        """
        Find a book.

        Args:
            name: its number, its file's path, or its title; of a title any part, if no other book
                has it, upper or lower case.

        Raises:
            LibraryError: there is no such book, or there are several.
        """
        books = self.books()
        path = Path(os.path.realpath(name))  # `resolve` refuses links in a circle
        folded = name.casefold()
        for matches in (
            [book for book in books if str(book.id) == name],
            [book for book in books if path in book.paths],
            [book for book in books if book.title.casefold() == folded],
            [book for book in books if folded in book.title.casefold()],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                found = "; ".join(f"{book.id} {book.title} ({book.paths[0]})" for book in matches)
                raise LibraryError(f"book {name!r}: found {len(matches)}, expected one: {found}")
        raise LibraryError(f"book {name!r}: expected a number, path or title of {self.path}")

    def remove(self, book: int) -> None:
        """
        Remove a book, its reading position with it; its files stay where they are.

        Raises:
            LibraryError: there is no such book, or the library's file can't be written.
        """
        with self._database.writing():
            if not self._database.rows("SELECT 1 FROM books WHERE id = ?", book):
                raise LibraryError(f"book {book}: {self.path} has none of this number")
            delete_book(self._database, book)
        self._database.shrink()

    def index(self, book: int) -> BookIndex:
        """
        A book's index, to be closed by who asked for it.

        Raises:
            LibraryError: there is no such book, or it has to be added again.
        """
        version = self._database.rows("SELECT index_version FROM books WHERE id = ?", book)
        index = load_index(self._database, book) if version == [(INDEX_VERSION,)] else None
        if index is None:
            raise LibraryError(f"book {book}: can't be searched in {self.path}")
        return index

    def cover(self, book: int) -> Cover | None:
        """
        The picture on a book's cover.

        Returns:
            None where it has none, or there is no such book.
        """
        rows = self._database.rows("SELECT media_type, image FROM covers WHERE book = ?", book)
        return Cover(*rows[0]) if rows else None

    def keep_position(self, book: int, position: Position) -> None:
        """
        Keep where in a book its reader is; answers know nothing of it, see `read`.

        Raises:
            LibraryError: there is no such book or place, or the library's file can't be written.
        """
        with self.index(book) as index:
            if not 0 <= position.chapter < len(index.chapters):
                raise LibraryError(f"book {book}: no chapter {position.chapter}")
            length = len(index.chapter(position.chapter).text)
        if not 0 <= position.offset <= length:
            raise LibraryError(
                f"book {book}, chapter {position.chapter}: offset {position.offset}, "
                f"expected 0 to {length}"
            )
        with self._database.writing():
            self._database.write(
                "UPDATE books SET position_chapter = ?, position_offset = ? WHERE id = ?",
                position.chapter,
                position.offset,
                book,
            )

    def data_version(self) -> int:
        """
        A number that changes when another process, or another `Library`, has written to the file.

        Raises:
            LibraryError: the file can't be read.
        """
        return self._database.data_version()

    def read(self, book: int, until: Bound | None) -> None:
        """
        Keep how far a book has been read: nothing behind has any part in answers from then on.

        Args:
            book: its number.
            until: how far it is known; None: to its end.

        Raises:
            LibraryError: there is no such book, or the library's file can't be written.
        """
        with self._database.writing(), self.index(book) as index:
            self._database.write(
                "UPDATE books SET until_chapter = ?, until_end = ? WHERE id = ?",
                None if until is None else until.chapter,
                None if until is None else until.end,
                book,
            )
            delete_terms(self._database, book)
            write_terms(self._database, book, index)

    def shelf(
        self,
        books: Sequence[int] | None = None,
        *,
        engine: Engine = LOCAL,
        progress: Progress | None = None,
    ) -> Shelf:
        """
        The books as they are now, to be searched and asked together.

        Args:
            books: their numbers; None: all.
            engine: where vectors are made, and by `ask_shelf` questions answered.
            progress: called with (passages done, passages in all) while a search makes the
                vectors of a book that has none yet.

        Raises:
            LibraryError: no books, or none of this number.
        """
        shelved = {
            book.id: ShelvedBook(
                book.id, book.title, str(book.paths[0]), book.until, book.known_passages
            )
            for book in self.books()
            if book.is_current
        }
        for number in books or ():
            if number not in shelved:
                raise LibraryError(f"book {number}: can't be searched in {self.path}")
        if not shelved:
            raise LibraryError(f"{self.path}: no books, expected some; `squadlite library add`")
        wanted = {number: shelved[number] for number in books or shelved}
        return Shelf(self._database, wanted, engine=engine, progress=progress)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
