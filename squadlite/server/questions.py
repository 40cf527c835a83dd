"""Questions waiting for their turn, and the threads that answer them."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from squadlite.answering.reader import Reader
from squadlite.asking import Step, ask_in_steps
from squadlite.cores import default_threads
from squadlite.library.library import Library
from squadlite.library.shelf import Shelf
from squadlite.server.events import Event, Feed
from squadlite.server.render import answers_json, reply_json
from squadlite.server.replies import busy, failure

MAX_WAITING = 32
# Each question is computed by all cores; more at a time would only take them from one another.
_MAX_THREADS = 4
_LONGEST_WAIT = 60
_JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class Question:
    """
    A question as it waits.

    Attributes:
        text: as it was asked.
        books: the numbers of the books to ask.
        min_score: as for `ask`.
        feed: where the answers go.
    """

    text: str
    books: tuple[int, ...]
    min_score: float | None
    feed: Feed


class QuestionDesk:
    """
    Answers questions in the order in which they come, a few at a time.

    They share the processor: every question is computed by all cores, as many at a time as there
    are cores, 4 at most, so that a short one needn't wait for a long one to end.

    Args:
        path: the library's file; each thread opens it for itself.
        reader: the model.
    """

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path = path
        self._reader = reader
        self._waiting: deque[Question] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds = 1.0  # that a question took lately, on average
        self._threads = [
            threading.Thread(target=self._work, name=f"questions-{number}", daemon=True)
            for number in range(min(default_threads(), _MAX_THREADS))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, question: Question) -> None:
        """
        Have a question answered: its feed gets "passages", "answers" and "reply", or "error".

        Raises:
            HTTPException: too many are waiting.
        """
        with self._changed:
            if self._is_closed or len(self._waiting) >= MAX_WAITING:
                turns = len(self._waiting) / len(self._threads)
                seconds = min(_LONGEST_WAIT, 1 + int(turns * self._seconds))
                raise busy(f"{len(self._waiting)} questions are waiting", seconds)
            self._waiting.append(question)
            self._changed.notify()

    def cancel(self, question: Question) -> None:
        """Forget a question: nobody waits for its answer any more."""
        question.feed.close()
        with self._changed:
            if question in self._waiting:
                self._waiting.remove(question)

    def close(self) -> None:
        """Stop: questions being answered are left at the next portion, those waiting at once."""
        with self._changed:
            self._is_closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for question in left:
            _refuse(question, "the server is stopping")
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        with closing(_Shelves(self._path)) as shelves:
            while (question := self._next()) is not None:
                started = time.monotonic()
                try:
                    self._answer(question, shelves)
                except Exception as error:  # noqa: BLE001 - the next question is another
                    _refuse(question, failure(error, "a question"))
                finally:
                    question.feed.put(None)
                self._seconds += (time.monotonic() - started - self._seconds) / 8

    def _next(self) -> Question | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return None if self._is_closed else self._waiting.popleft()

    def _answer(self, question: Question, shelves: "_Shelves") -> None:
        with shelves.of(question.books) as shelf:
            steps = ask_in_steps(question.text, shelf, self._reader, min_score=question.min_score)
            for step in steps:
                if self._is_closed:
                    _refuse(question, "the server is stopping")
                    return
                if question.feed.is_closed:
                    return
                for event in _events(step):
                    question.feed.put(event)


def _events(step: Step) -> Iterator[Event]:
    n_read = step.reply.passages_read
    if n_read == 0:
        books = list(dict.fromkeys(passage.book for passage in step.found))
        yield Event("passages", {"count": len(step.found), "books": books})
    if n_read or not step.found:
        yield Event("answers", {"answers": answers_json(step.reply)})
    if step.is_last:
        yield Event("reply", reply_json(step.reply))


def _refuse(question: Question, message: str) -> None:
    question.feed.put(Event("error", {"error": message}))
    question.feed.put(None)


class _Shelves:
    """The library as one thread has it, with the books of its last question open for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._library: Library | None = None
        self._shelf: Shelf | None = None
        self._of: tuple[tuple[int, ...], int] | None = None

    @contextmanager
    def of(self, books: tuple[int, ...]) -> Iterator[Shelf]:
        """The books as they are now."""
        if self._library is None:
            self._library = Library(self._path)
        wanted = books, self._library.data_version()
        if self._shelf is None or wanted != self._of:
            if self._shelf is not None:
                self._shelf.close()
            self._shelf, self._of = self._library.shelf(books), wanted
        try:
            yield self._shelf
        except Exception:
            # What it holds may be what is wrong.
            self._of = None
            raise

    def close(self) -> None:
        """Close the library's file."""
        for opened in (self._shelf, self._library):
            if opened is not None:
                opened.close()
