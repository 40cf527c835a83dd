"""
A student's window as its teacher reads it, and where the teacher's answers lie in the student's.

Both read the same characters. Where they cut them alike, tokens correspond one to one. Elsewhere
a start goes to the student's token in which the teacher's token begins, an end to that in which it
ends. "No answer" stands at the first special token of both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.squad import SquadExample
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.windows import Template
from tools.data import Feature

NOWHERE = -1  # the place of a teacher's token that the student has no counterpart of


class Tokens(Protocol):
    """A text's tokens, as `TokenizedText` holds them."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n_tokens,)."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n_tokens, 2): first character of each, and the one after its last."""


@dataclass(frozen=True, slots=True)
class TeacherTokenizer:
    """
    A teacher's tokenizer.

    Args:
        encode_batch: texts -> tokens without special ones, which are plain text inside a text.
        template: the special tokens.
    """

    encode_batch: Callable[[Sequence[str]], Sequence[Tokens]]
    template: Template

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "TeacherTokenizer":
        """Ours."""
        return cls(tokenizer.encode_batch, tokenizer.template)


@dataclass(frozen=True, slots=True)
class TeacherWindow:
    """
    A student's window as its teacher reads it, of n tokens.

    Args:
        feature: the student's window.
        ids, type_ids: (n,) int64.
        starts, ends: (n,) int64: the student's token that a start or end at each token means;
            NOWHERE for none.
    """

    feature: Feature
    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def same_tokens(features: Sequence[Feature], template: Template) -> list[TeacherWindow]:
    """The windows of a teacher that has its student's tokens and special tokens."""
    windows = []
    for feature in features:
        window = feature.window
        question, context = window.question_ids, window.context_ids
        before, between, after = map(np.array, (template.before, template.between, template.after))
        places = np.arange(len(window))
        type_ids = (places >= window.context_start) * template.context_type
        ids = np.concatenate([before, question, between, context, after])
        windows.append(TeacherWindow(feature, ids, type_ids, places, places))
    return windows


class Aligner:
    """
    Makes a teacher's windows of a student's.

    Args:
        examples: that the student's windows were made of.
        student: the student's tokenizer.
        teacher: the teacher's.
    """

    def __init__(
        self, examples: Sequence[SquadExample], student: Tokenizer, teacher: TeacherTokenizer
    ) -> None:
        self.examples = examples
        self.student = student
        self.teacher = teacher

    def __call__(self, features: Sequence[Feature]) -> list[TeacherWindow]:
        """Make the teacher's window of each feature, in order."""
        examples = [self.examples[feature.window.pair] for feature in features]
        texts = list(
            dict.fromkeys(
                text for example in examples for text in (example.question, example.context)
            )
        )
        student = dict(zip(texts, self.student.encode_batch(texts), strict=True))
        teacher = dict(zip(texts, self.teacher.encode_batch(texts), strict=True))
        return [
            align(
                feature,
                (student[example.question].offsets, student[example.context].offsets),
                (teacher[example.question], teacher[example.context]),
                self.teacher.template,
            )
            for feature, example in zip(features, examples, strict=True)
        ]


def align(
    feature: Feature,
    student: tuple[NDArray[np.int64], NDArray[np.int64]],
    teacher: tuple[Tokens, Tokens],
    template: Template,
) -> TeacherWindow:
    """
    Lay a student's window out for its teacher.

    Args:
        feature: the window.
        student: offsets of the student's tokens, of all the question and of all the context.
        teacher: the teacher's tokens of the same texts.
        template: the teacher's special tokens.

    Returns:
        The teacher's tokens of all that the student's window shows a character of.
    """
    window = feature.window
    question, question_starts, question_ends = _align_part(
        student[0][: len(window.question_ids)], teacher[0]
    )
    first = window.first_token
    context, context_starts, context_ends = _align_part(
        student[1][first : first + len(window.context_ids)], teacher[1]
    )
    before = _special(template.before, 0)
    between = _special(template.between, window.question_end)
    after = _special(template.after, window.context_end)

    def whole(in_question: NDArray[np.int64], in_context: NDArray[np.int64]) -> NDArray[np.int64]:
        parts = [
            before,
            in_question + window.question_start,
            between,
            in_context + window.context_start,
            after,
        ]
        return np.concatenate(parts)

    ids = np.concatenate([template.before, question, template.between, context, template.after])
    is_context = np.arange(len(ids)) >= len(ids) - len(context) - len(template.after)
    return TeacherWindow(
        feature,
        ids,
        is_context * template.context_type,
        starts=whole(question_starts, context_starts),
        ends=whole(question_ends, context_ends),
    )


def _align_part(
    student: NDArray[np.int64], teacher: Tokens
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    # The teacher's ids for the characters from the student's first token to its last, and the
    # student's token that a start and an end at each of them means.
    if not len(student):
        return (np.empty(0, dtype=np.int64),) * 3
    first = np.searchsorted(teacher.offsets[:, 1], student[0, 0], side="right")
    last = np.searchsorted(teacher.offsets[:, 0], student[-1, 1], side="left")
    ids, offsets = teacher.ids[first:last], teacher.offsets[first:last]
    if np.array_equal(offsets, student):
        # Told apart from the rest because pieces of one character have the same offsets.
        same = np.arange(len(student))
        return ids, same, same
    # As the gold answer's tokens are found: white space before a token belongs to it.
    starts = np.searchsorted(student[:, 1], offsets[:, 0], side="right")
    ends = np.searchsorted(student[:, 0], offsets[:, 1], side="left") - 1
    last_token = len(student) - 1
    return ids, starts.clip(0, last_token), ends.clip(0, last_token)


def _special(ids: tuple[int, ...], place: int) -> NDArray[np.int64]:
    # Where a teacher has several special tokens, such as </s></s>, the first is the student's.
    places = np.full(len(ids), NOWHERE)
    places[:1] = place
    return places
