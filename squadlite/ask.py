"""The main job: a question put to a book, answered with the places in the book."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading, Span, span_score
from squadlite.library.index import BookIndex, ChapterInfo, Passage
from squadlite.library.query import query_words

# benchmarks/books.py: 30 passages hold the evidence for nine questions in ten; reading more takes
# longer and finds no better answers.
DEFAULT_PASSAGES = 30

# How much an answer's margin is lowered, in logits, from the most promising passage to one of no
# promise at all. On benchmarks/books.py 3 to 7 serve alike, and 5 F1 better than 0.
RELEVANCE_WEIGHT = 5.0

# The model prefers the answer to none: SQuAD's null_score_diff_threshold 0.
ANSWER_THRESHOLD = 0.5


@dataclass(frozen=True)
class CitedPassage:
    """The passage around an answer; start and end count characters of the chapter's text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Answer:
    """One answer and its place: the chapter's text[start:end] is the answer's text."""

    text: str
    score: float
    book: str
    chapter: ChapterInfo
    start: int
    end: int
    passage: CitedPassage


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
) -> Reply:
    """
    Answer a question from an indexed book.

    Args:
        question: in plain language; any text is accepted.
        index: the book's index.
        reader: the model that reads passages.
        top_k: how many answers to give at most.
        passages: how many of the book's passages to read, the most promising ones.
    """
    started = time.perf_counter()
    found = retrieve(question, index, reader, passages)
    retrieved = time.perf_counter()
    readings = reader.read(question, [passage.text for passage in found], n_best=top_k)
    finished = time.perf_counter()

    answers = _best_answers(index, found, readings, top_k)
    score = answers[0].score if answers else 0.0
    return Reply(
        question=question,
        answer=answers[0].text if score > ANSWER_THRESHOLD else None,
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


def _best_answers(
    index: BookIndex, passages: Sequence[Passage], readings: Sequence[Reading], top_k: int
) -> tuple[Answer, ...]:
    most_promising = max((passage.score for passage in passages), default=0.0)
    candidates = [
        (span.margin - _penalty(passage, most_promising), span, passage)
        for passage, reading in zip(passages, readings, strict=True)
        for span in reading.spans
    ]
    candidates.sort(key=lambda candidate: -candidate[0])
    answers: list[Answer] = []
    for margin, span, passage in candidates:
        if len(answers) == top_k:
            break
        answer = _cite(index, passage, span, span_score(margin))
        # Passages may overlap, and so find the same answer twice.
        if not any(_overlap(answer, other) for other in answers):
            answers.append(answer)
    return tuple(answers)


def _penalty(passage: Passage, most_promising: float) -> float:
    # A question of stop words alone leaves every passage without a score.
    return RELEVANCE_WEIGHT * (1 - passage.score / most_promising) if most_promising > 0 else 0.0


def _cite(index: BookIndex, passage: Passage, span: Span, score: float) -> Answer:
    return Answer(
        text=span.text,
        score=score,
        book=index.title,
        chapter=index.chapters[passage.chapter_index],
        start=passage.start + span.start,
        end=passage.start + span.end,
        passage=CitedPassage(passage.text, passage.start, passage.end),
    )


def _overlap(answer: Answer, other: Answer) -> bool:
    return (
        answer.chapter.index == other.chapter.index
        and answer.start < other.end
        and other.start < answer.end
    )
