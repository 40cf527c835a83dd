"""The main job: a question put to a book, answered with the places in the book."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from squadlite.answering.candidates import Candidate, describe, number_answers
from squadlite.answering.confidence import Confidence, relevant_margin
from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading
from squadlite.library.index import BookIndex, ChapterInfo, Passage
from squadlite.library.query import query_words

# benchmarks/books.py: 30 passages hold the evidence for nine questions in ten; reading more takes
# longer and finds no better answers.
DEFAULT_PASSAGES = 30

# As many whatever is shown, since the scores depend on all that were found.
SPANS_PER_PASSAGE = 5


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
        places: where the book says it, best first; the same but for case, articles and punctuation.
    """

    text: str
    score: float
    book: str
    chapter: ChapterInfo
    start: int
    end: int
    page: str | None
    passage: CitedPassage
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Reply:
    """
    What a book says to a question.

    Attributes:
        question: as it was asked.
        answer: the best answer's text, or None: the book doesn't say.
        score: 0..1, that of the best answer.
        answers: the best answers found, best first, also where `answer` is None.
        null_score: 0..1, how sure the model is that the book doesn't say.
        retrieve_ms, read_ms: time spent finding passages and reading them.
    """

    question: str
    answer: str | None
    score: float
    answers: tuple[Answer, ...]
    null_score: float
    retrieve_ms: float
    read_ms: float


def ask(
    question: str,
    index: BookIndex,
    reader: Reader,
    *,
    top_k: int = 5,
    passages: int = DEFAULT_PASSAGES,
    min_score: float | None = None,
) -> Reply:
    """
    Answer a question from an indexed book.

    Args:
        question: in plain language; any text is accepted.
        index: the book's index.
        reader: the model that reads passages.
        top_k: how many answers to give at most.
        passages: how many of the book's passages to read, the most promising ones.
        min_score: 0..1: an answer must have a higher score, else the book doesn't say; None: as
            the model says.
    """
    started = time.perf_counter()
    found = retrieve(question, index, reader, passages)
    retrieved = time.perf_counter()
    readings = read_passages(question, found, reader)
    candidates = find_candidates(found, readings)
    answers = _best_answers(question, index, found, candidates, reader.confidence)[:top_k]
    finished = time.perf_counter()

    score = answers[0].score if answers else 0.0
    threshold = reader.confidence.threshold if min_score is None else min_score
    return Reply(
        question=question,
        answer=answers[0].text if score > threshold else None,
        score=score,
        answers=answers,
        null_score=1.0 - score,
        retrieve_ms=(retrieved - started) * 1000,
        read_ms=(finished - retrieved) * 1000,
    )


def retrieve(question: str, index: BookIndex, reader: Reader, limit: int) -> list[Passage]:
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
    return index.search(question, limit, related=related, embedder=reader.embedder)


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
        )
        for rank, (passage, reading) in enumerate(zip(found, readings, strict=True), start=1)
        for span in reading.spans
    ]
    candidates.sort(key=lambda candidate: -relevant_margin(candidate))
    chosen: list[Candidate] = []
    taken: dict[int, list[tuple[int, int]]] = {}
    for candidate in candidates:
        passage = found[candidate.rank - 1]
        start, end = passage.start + candidate.span.start, passage.start + candidate.span.end
        others = taken.setdefault(passage.chapter_index, [])
        if all(end <= other_start or start >= other_end for other_start, other_end in others):
            others.append((start, end))
            chosen.append(candidate)
    return chosen


def _best_answers(
    question: str,
    index: BookIndex,
    found: Sequence[Passage],
    candidates: Sequence[Candidate],
    confidence: Confidence,
) -> tuple[Answer, ...]:
    """All distinct answers, best first, each with its places, best first."""
    features = describe(question, query_words(question), candidates)
    numbers = number_answers(candidates)
    scores = confidence.answer_scores(features, numbers)
    best_first = np.argsort(-confidence.place_scores(features), kind="stable")
    places: dict[int, list[Place]] = {}
    for candidate in best_first.tolist():
        place = _place(index, found, candidates[candidate])
        places.setdefault(int(numbers[candidate]), []).append(place)
    return tuple(
        Answer(
            **vars(places[number][0]),
            score=float(scores[number]),
            book=index.title,
            places=tuple(places[number]),
        )
        for number in sorted(places, key=lambda number: -scores[number])
    )


def _place(index: BookIndex, found: Sequence[Passage], candidate: Candidate) -> Place:
    span, passage = candidate.span, found[candidate.rank - 1]
    return Place(
        text=span.text,
        chapter=index.chapters[passage.chapter_index],
        start=passage.start + span.start,
        end=passage.start + span.end,
        page=passage.page_at(span.start),
        passage=CitedPassage(passage.text, passage.start, passage.end),
    )
