"""squadlite from Python: a book is opened, and asked."""

from functools import cached_property
from pathlib import Path
from typing import Self

from squadlite.answering.reader import Reader
from squadlite.asking import DEFAULT_PASSAGES, Reply
from squadlite.asking import ask as ask_index
from squadlite.closing import Closing
from squadlite.library.bound import Bound
from squadlite.library.index import BookIndex, ChapterInfo
from squadlite.library.people import Person, find_people
from squadlite.library.structure import Chapter
from squadlite.models import DEFAULT_MODEL


class Book(Closing):
    """
    An opened book; a context manager. `Book.open` makes one.

    Args:
        index: the book's.
        model: what reads: a .sqz file or a checkpoint folder, loaded with the first question, or a
            reader.
    """

    def __init__(self, index: BookIndex, model: str | Path | Reader = DEFAULT_MODEL) -> None:
        self._index = index
        self._model = model

    @classmethod
    def open(cls, path: str | Path, *, model: str | Path | Reader | None = None) -> Self:
        """
        Open a book of any kind that squadlite reads; see `BookIndex.open`.

        Args:
            path: the book's file.
            model: as for `Book`; None: the default model.

        Raises:
            BookError: the book can't be read or indexed.
        """
        return cls(BookIndex.open(path), model or DEFAULT_MODEL)

    @property
    def title(self) -> str:
        """As the book names it."""
        return self._index.title

    @property
    def author(self) -> str:
        """As the book names them; "" where it doesn't."""
        return self._index.author

    @property
    def language(self) -> str:
        """The book's own tag, such as "en-GB"; "" where it has none."""
        return self._index.language

    @property
    def chapters(self) -> tuple[ChapterInfo, ...]:
        """All of them, without their text."""
        return self._index.chapters

    def chapter(self, number: int) -> Chapter:
        """
        A chapter with its text, in which the places of answers count.

        Raises:
            IndexError: no chapter of this number, from 0.
        """
        return self._index.chapter(number)

    def ask(
        self,
        question: str,
        *,
        until: str | Bound | None = None,
        top_k: int = 5,
        passages: int = DEFAULT_PASSAGES,
        min_score: float | None = None,
    ) -> Reply:
        """
        Answer a question out of the book.

        Args:
            question: in plain language; any text is accepted.
            until: how far you have read, as text for `Bound.parse` ("Chapter 7", "45%"); nothing
                that stands behind has any part in the reply. None: all of the book.
            top_k: how many answers to give at most.
            passages: how many of the book's passages to read at most, the most promising ones.
            min_score: 0..1: an answer must have a higher score, else the book doesn't say; None: as
                the model says.

        Raises:
            BoundError: the book has no such place as `until` names.
            SquadliteError: a model that can't be loaded; see `Reader.load`.
            ValueError: `top_k` or `passages` below 1, or a `min_score` out of its range.
        """
        return ask_index(
            question,
            self._index.known(self._bound(until)),
            self._reader,
            top_k=top_k,
            passages=passages,
            min_score=min_score,
        )

    def people(self, until: str | Bound | None = None) -> tuple[Person, ...]:
        """
        Find whom the book names, and which places; see `find_people`.

        Args:
            until: as for `ask`.

        Raises:
            BoundError: the book has no such place as `until` names.
        """
        return find_people(self._index.read_chapters(), self._bound(until))

    def _bound(self, until: str | Bound | None) -> Bound | None:
        return Bound.parse(until, self._index) if isinstance(until, str) else until

    @cached_property
    def _reader(self) -> Reader:
        if isinstance(self._model, Reader):
            return self._model
        return Reader.load(self._model, compute="auto")

    def close(self) -> None:
        """Close the book's index."""
        self._index.close()


def ask(
    book: str | Path,
    question: str,
    *,
    model: str | Path | Reader | None = None,
    until: str | Bound | None = None,
    top_k: int = 5,
    passages: int = DEFAULT_PASSAGES,
    min_score: float | None = None,
) -> Reply:
    """
    Answer one question out of a book, as `squadlite ask` does.

    For several questions open the book once, with `Book.open`: it loads the model once, too.

    Args:
        book: the book's file.
        question, until, top_k, passages, min_score: as for `Book.ask`.
        model: a .sqz file, a checkpoint folder or a reader; None: the default model.

    Raises:
        BookError: the book can't be read or indexed.
        BoundError: the book has no such place as `until` names.
        SquadliteError: a model that can't be loaded; see `Reader.load`.
        ValueError: as for `Book.ask`.
    """
    with Book.open(book, model=model) as opened:
        return opened.ask(
            question, until=until, top_k=top_k, passages=passages, min_score=min_score
        )
