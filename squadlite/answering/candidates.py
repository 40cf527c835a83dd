"""What is known of the spans that may answer a question, in numbers that a model can weigh."""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.question_kind import has_shape, question_kind
from squadlite.answering.spans import Span

# What `describe` says of a candidate, in its columns' order; format_spec.md defines each.
FEATURES = (
    "margin",
    "log_share",
    "relevance",
    "log_rank",
    "cosine",
    "log_places",
    "log_length",
    "question_in_passage",
    "question_nearby",
    "answer_in_question",
    "fits_shape",
    "misses_shape",
)

_JOINING = re.compile("['’‘.\u00ad\u2060-]")
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = frozenset(("a", "an", "the"))
# Words are compared by their beginnings, so that "lived" is "lives" and "house" is "houses".
_STEM_LENGTH = 5
# How many words before and behind an answer are near it: a sentence's length.
_NEARBY_WORDS = 25


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    A span that may answer a question, and what the search says of its passage.

    Args:
        span: the reader's, in `passage`.
        passage: the text.
        rank: of the passage among those read, from 1; each passage has its own.
        relevance: the passage's score over that of the best, 0..1; 1 where none has one.
        cosine: between question and passage; 0 where there are no vectors.
        book: tells the passages' books apart where several were searched.
    """

    span: Span
    passage: str
    rank: int
    relevance: float
    cosine: float
    book: int = 0

    @property
    def answer(self) -> tuple[int, str]:
        """What it shares with candidates that give the same answer: two books' are never one."""
        return self.book, fold_answer(self.span.text)


def fold_answer(text: str) -> str:
    """
    What equal answers share: lower-case words without articles and punctuation.

    A text without words is folded to itself, but for white space around it.
    """
    words = _words(text)
    return " ".join([word for word in words if word not in _ARTICLES] or words) or text.strip()


def number_answers(candidates: Sequence[Candidate]) -> NDArray[np.int64]:
    """(n,) which distinct answer each candidate gives, numbered as they come, from 0."""
    numbers: dict[tuple[int, str], int] = {}
    answers = (candidate.answer for candidate in candidates)
    return np.array([numbers.setdefault(answer, len(numbers)) for answer in answers], np.int64)


def describe(
    question: str, content_words: Sequence[str], candidates: Sequence[Candidate]
) -> NDArray[np.float64]:
    """
    Measure each candidate of one question.

    Args:
        question: any text.
        content_words: those of its words that its answer's passage may hold, in lower case.
        candidates: all of them, no two at the same place of the book.

    Returns:
        (n, len(FEATURES)), each finite.
    """
    answers = [candidate.answer for candidate in candidates]
    n_places = Counter(answers)
    margins = np.array([candidate.span.margin for candidate in candidates])
    # The logarithm of all that could be chosen; the model's own "no answer" has the margin 0.
    everything = np.logaddexp.reduce(margins, initial=0.0)
    texts = {candidate.rank: candidate.passage for candidate in candidates}
    passages = {rank: _PassageWords(text) for rank, text in texts.items()}
    kind = question_kind(question, list(texts.values()))
    asked, content = set(map(_stem, _words(question))), set(map(_stem, content_words))
    rows = []
    for candidate, answer in zip(candidates, answers, strict=True):
        span, words = candidate.span, passages[candidate.rank]
        shape = has_shape(kind, span.text)
        words_of_answer = answer[1].split()
        stems = set(map(_stem, words_of_answer))
        row = {
            "margin": span.margin,
            "log_share": span.margin - everything,
            "relevance": candidate.relevance,
            "log_rank": math.log(candidate.rank),
            "cosine": candidate.cosine,
            "log_places": math.log(n_places[answer]),
            "log_length": math.log(max(1, len(words_of_answer))),
            "question_in_passage": _share(content, words.all),
            "question_nearby": _share(content, words.near(span)),
            "answer_in_question": _share(stems, asked),
            "fits_shape": float(shape is True),
            "misses_shape": float(shape is False),
        }
        rows.append([row[name] for name in FEATURES])
    return np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES))


class _PassageWords:
    """The stems of a passage's words, and where each stands."""

    def __init__(self, passage: str) -> None:
        found = list(_WORD.finditer(passage))
        self._starts = [match.start() for match in found]
        self._stems = [_stem(match.group().lower()) for match in found]
        self.all = frozenset(self._stems)

    def near(self, span: Span) -> frozenset[str]:
        """Those at most _NEARBY_WORDS from the answer, its own included."""
        first, end = bisect_left(self._starts, span.start), bisect_left(self._starts, span.end)
        return frozenset(self._stems[max(0, first - _NEARBY_WORDS) : end + _NEARBY_WORDS])


def _words(text: str) -> list[str]:
    return _WORD.findall(_JOINING.sub("", text.lower()))


def _stem(word: str) -> str:
    return word[:_STEM_LENGTH]


def _share(words: set[str], among: frozenset[str] | set[str]) -> float:
    return len(words & among) / len(words) if words else 0.0
