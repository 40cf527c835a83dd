"""The main job: a question put to a book, answered with the places in the book."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from squadlite.answering.candidates import Candidate, describe, number_answers
from squadlite.answering.confidence import Confidence, relevant_margin
from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading
from squadlite.library.index import BookSource, ChapterInfo, Citation
from squadlite.library.query import Query, query_words
from squadlite.library.search import Passage
from squadlite.library.structure import PARAGRAPH_BREAK

if TYPE_CHECKING:
    from squadlite.library.shelf import Selection, Shelf

# benchmarks/books.py: 30 passages hold the evidence for nine questions in ten; reading more takes
# longer and finds no better answers.
DEFAULT_PASSAGES = 30

# The answers so far are looked at after so many passages, after so many more, and at the end: a few
# first, since an answer that is sure by then needs no more (docs/answers.md, "Reading no further").
PORTIONS = (4, 4, 10)

# As many whatever is shown, since the scores depend on all that were found.
SPANS_PER_PASSAGE = 5


class Searchable(Protocol):
    """What is asked: a book's index, what is known of a book, or the books of a library."""

    def search(self, query: Query, limit: int) -> list[Passage]:
        """Find passages as `BookIndex.search` does."""

    def cite(self, passage: Passage) -> Citation:
        """Say what a passage that it found is from."""


@dataclass(frozen=True)
class CitedPassage:
    """The passage around an answer; start and end count characters of the chapter's text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Place:
    """
    One place that gives an answer: the chapter's text[start:end] is `text`.

    `page` is the label of the page that it begins on; None for a book without pages.
    """

    text: str
    chapter: ChapterInfo
    start: int
    end: int
    page: str | None
    passage: CitedPassage


@dataclass(frozen=True)
class Answer:
    """
    One answer and all its places.

    Attributes:
        text, chapter, start, end, page, passage: those of its best place.
        score: 0..1, how sure it is that this answers the question.
        book: the book's title.
        source: where the library has the book; None for a book that is asked by itself.
        places: where the book says it, best first; the same but for case, articles and punctuation.
    """

    text: str
    score: float
    book: str
    source: BookSource | None
    chapter: ChapterInfo
    start: int
    end: int
    page: str | None
    passage: CitedPassage
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Reply:
    """
    What a book, or a library, says to a question.

    Attributes:
        question: as it was asked.
        answer: the best answer's text, or None: the book doesn't say.
        score: 0..1, that of the best answer.
        answers: the best answers found, best first, also where `answer` is None.
        null_score: 0..1, how sure the model is that the book doesn't say.
        passages_read: how many passages it took.
        retrieve_ms, read_ms: time spent finding passages and reading them.
    """

    question: str
    answer: str | None
    score: float
    answers: tuple[Answer, ...]
    null_score: float
    passages_read: int
    retrieve_ms: float
    read_ms: float


@dataclass(frozen=True)
class Step:
    """
    How far a question has come.

    Attributes:
        found: the most promising passages, best first.
        reply: what the first of them say, as many as have been read.
        is_last: whether this is the reply.
    """

    found: Sequence[Passage]
    reply: Reply
    is_last: bool


def ask(
    question: str,
    index: Searchable,
    reader: Reader,
    *,
    top_k: int = 5,
    passages: int = DEFAULT_PASSAGES,
    min_score: float | None = None,
) -> Reply:
    """
    Answer a question from an indexed book, or from many.

    No more passages are read than it takes to be sure (`Confidence.sure`).

    Args:
        question: in plain language; any text is accepted.
        index: the book's index, or `BookIndex.known` of it, or a library's shelf.
        reader: the model that reads passages.
        top_k: how many answers to give at most.
        passages: how many passages to read at most, the most promising ones.
        min_score: 0..1: an answer must have a higher score, else the book doesn't say; None: as
            the model says.

    Raises:
        ValueError: `top_k` or `passages` below 1, or a `min_score` out of its range.
    """
    *_, last = ask_in_steps(
        question,
        index,
        reader,
        top_k=top_k,
        passages=passages,
        min_score=min_score,
    )
    return last.reply


def ask_in_steps(
    question: str,
    index: Searchable,
    reader: Reader,
    *,
    top_k: int = 5,
    passages: int = DEFAULT_PASSAGES,
    min_score: float | None = None,
) -> Iterator[Step]:
    """
    Answer a question as `ask` does, and say meanwhile how far it has come.

    Args:
        question, index, reader, top_k, passages, min_score: as for `ask`.

    Yields:
        A step when the passages are found, and one after each of the PORTIONS that it takes. The
        last one's reply is `ask`'s.

    Raises:
        ValueError: as for `ask`.
    """
    for name, value in (("top_k", top_k), ("passages", passages)):
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")
    if min_score is not None and not 0 <= min_score <= 1:
        raise ValueError(f"min_score is {min_score}, expected 0..1")
    started = time.perf_counter()
    found = retrieve(question, index, reader, passages)
    retrieved = time.perf_counter()
    threshold = reader.confidence.threshold if min_score is None else min_score

    def reply(readings: Sequence[Reading]) -> Reply:
        candidates = find_candidates(found[: len(readings)], readings)
        answers = _best_answers(question, index, found, candidates, reader.confidence)[:top_k]
        score = answers[0].score if answers else 0.0
        return Reply(
            question=question,
            answer=answers[0].text if score > threshold else None,
            score=score,
            answers=answers,
            null_score=1.0 - score,
            passages_read=len(readings),
            retrieve_ms=(retrieved - started) * 1000,
            read_ms=(time.perf_counter() - retrieved) * 1000,
        )

    readings: list[Reading] = []
    yield Step(found, reply(readings), is_last=not found)
    for portion in (*PORTIONS, len(found)):
        unread = found[len(readings) :][:portion]
        if unread:
            readings += read_passages(question, unread, reader)
            so_far = reply(readings)
            is_sure = so_far.score > max(threshold, reader.confidence.sure(len(readings)))
            is_last = is_sure or len(readings) == len(found)
            yield Step(found, so_far, is_last)
            if is_last:
                return


def ask_shelf(
    questions: Iterable[str],
    shelf: "Shelf",
    reader: Reader,
    *,
    top_k: int = 5,
    passages: int = DEFAULT_PASSAGES,
    min_score: float | None = None,
) -> Iterator[Reply]:
    """
    Answer questions from a library's books, where the shelf's engine has its workers.

    Args:
        questions: gone through a little ahead of the replies.
        shelf: the books.
        reader, top_k, passages, min_score: as for `ask`. An engine of other processes needs a
            reader that `Reader.load` gave.

    Returns:
        A reply to each, in order, as `ask` gives it.

    Raises:
        LibraryError: the library's file can't be read.
        EngineError: see `Engine.map`.
    """
    work = partial(
        _ask_selection, reader=reader, top_k=top_k, passages=passages, min_score=min_score
    )

    def selected() -> Iterator[tuple[str, "Selection", float]]:
        for question in questions:
            started = time.perf_counter()
            selection = shelf.select(Query(question, embedder=reader.embedder))
            yield question, selection, (time.perf_counter() - started) * 1000

    return shelf.engine.map(work, selected())


def _ask_selection(
    item: tuple[str, "Selection", float],
    *,
    reader: Reader,
    top_k: int,
    passages: int,
    min_score: float | None,
) -> Reply:
    question, selection, select_ms = item
    reply = ask(question, selection, reader, top_k=top_k, passages=passages, min_score=min_score)
    return replace(reply, retrieve_ms=select_ms + reply.retrieve_ms)


def retrieve(question: str, index: Searchable, reader: Reader, limit: int) -> list[Passage]:
    """
    Find the passages most likely to answer a question, best first.

    Besides the question's words the search looks for those that the model takes for alike, and for
    passages about the same where the model has vectors; the first question to an index that doesn't
    hold them makes them (`BookIndex.add_vectors`).

    Args:
        question: any text.
        index, reader: as for `ask`.
        limit: how many to return at most, at least 1.
    """
    related = reader.related_words.of(query_words(question))
    return index.search(Query(question, related, reader.embedder), limit)


def read_passages(question: str, found: Sequence[Passage], reader: Reader) -> list[Reading]:
    """Read the passages that `retrieve` found, as `ask` does."""
    return reader.read(question, [passage.text for passage in found], n_best=SPANS_PER_PASSAGE)


def find_candidates(found: Sequence[Passage], readings: Sequence[Reading]) -> list[Candidate]:
    """
    Gather all spans that may answer a question.

    Args:
        found: the passages, best first.
        readings: one a passage.

    Returns:
        The best first by `relevant_margin`, and of those that overlap, as passages may, the best.
        None goes on from one paragraph into another: the end of a heading and what follows it.
    """
    most_promising = max((passage.score for passage in found), default=0.0)
    candidates = [
        Candidate(
            span=span,
            passage=passage.text,
            rank=rank,
            # A question of stop words alone leaves every passage without a score.
            relevance=passage.score / most_promising if most_promising > 0 else 1.0,
            cosine=passage.cosine or 0.0,
            book=passage.book,
        )
        for rank, (passage, reading) in enumerate(zip(found, readings, strict=True), start=1)
        for span in reading.spans
        if PARAGRAPH_BREAK not in span.text
    ]
    candidates.sort(key=lambda candidate: -relevant_margin(candidate))
    chosen: list[Candidate] = []
    taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for candidate in candidates:
        passage = found[candidate.rank - 1]
        start, end = passage.start + candidate.span.start, passage.start + candidate.span.end
        others = taken.setdefault((passage.book, passage.chapter_index), [])
        if all(end <= other_start or start >= other_end for other_start, other_end in others):
            others.append((start, end))
            chosen.append(candidate)
    return chosen


def _best_answers(
    question: str,
    index: Searchable,
    found: Sequence[Passage],
    candidates: Sequence[Candidate],
    confidence: Confidence,
) -> tuple[Answer, ...]:
    """All distinct answers, best first, each with its places, best first."""
    features = describe(question, query_words(question), candidates)
    numbers = number_answers(candidates)
    scores = confidence.answer_scores(features, numbers)
    best_first = np.argsort(-confidence.place_scores(features), kind="stable")
    given: dict[int, list[Candidate]] = {}
    for candidate in best_first.tolist():
        given.setdefault(int(numbers[candidate]), []).append(candidates[candidate])
    return tuple(
        _answer(index, found, given[number], float(scores[number]))
        for number in sorted(given, key=lambda number: -scores[number])
    )


def _answer(
    index: Searchable, found: Sequence[Passage], candidates: Sequence[Candidate], score: float
) -> Answer:
    citations = [index.cite(found[candidate.rank - 1]) for candidate in candidates]
    places = tuple(
        _place(citation.chapter, found[candidate.rank - 1], candidate)
        for citation, candidate in zip(citations, candidates, strict=True)
    )
    return Answer(
        **vars(places[0]),
        score=score,
        book=citations[0].book,
        source=citations[0].source,
        places=places,
    )


def _place(chapter: ChapterInfo, passage: Passage, candidate: Candidate) -> Place:
    span = candidate.span
    return Place(
        text=span.text,
        chapter=chapter,
        start=passage.start + span.start,
        end=passage.start + span.end,
        page=passage.page_at(span.start),
        passage=CitedPassage(passage.text, passage.start, passage.end),
    )
