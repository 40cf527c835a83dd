"""Token ids -> windows that the model can read, batched by length."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

# A template's name: the separators between question and context, and the context's token type.
TEMPLATES = {
    "bert": (1, 1),  # [CLS] question [SEP] context [SEP]
    "roberta": (2, 0),  # <s> question </s></s> context </s>
}
MOST_SPECIAL = 2 + max(separators for separators, _ in TEMPLATES.values())

AnyWindow = TypeVar("AnyWindow", bound=Sized)


@dataclass(frozen=True, slots=True)
class Template:
    """
    The special tokens around a question and a context.

    Args:
        before, between, after: ids of those that stand there, at least one each; the first one
            before is where "no answer" stands.
        context_type: token type of the context and of what stands after it; 0 for the others.
        pad_id: fills shorter windows up.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    context_type: int
    pad_id: int

    @classmethod
    def named(cls, name: str, *, cls_id: int, sep_id: int, pad_id: int) -> Self:
        """The template that TEMPLATES has under a name, of these special tokens."""
        n_between, context_type = TEMPLATES[name]
        return cls((cls_id,), (sep_id,) * n_between, (sep_id,), context_type, pad_id)

    @property
    def n_special(self) -> int:
        """Special tokens in a window."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True, slots=True)
class Window:
    """
    One input of the model: a question and a piece of a context, and special tokens around them.

    Args:
        pair: number of the (question, context) pair that it belongs to.
        question_ids: (n_question,) int64, cut to the longest question allowed.
        context_ids: (n_context,) int64, the piece of the context; never empty.
        first_token: place of the piece's first token in the whole context.
        template: the special tokens.
    """

    pair: int
    question_ids: NDArray[np.int64]
    context_ids: NDArray[np.int64]
    first_token: int
    template: Template

    @property
    def question_start(self) -> int:
        """Place of the question's first token in the window."""
        return len(self.template.before)

    @property
    def question_end(self) -> int:
        """Place after the question's last token in the window."""
        return self.question_start + len(self.question_ids)

    @property
    def context_start(self) -> int:
        """Place of the piece's first token in the window."""
        return self.question_end + len(self.template.between)

    @property
    def context_end(self) -> int:
        """Place after the piece's last token in the window."""
        return self.context_start + len(self.context_ids)

    def __len__(self) -> int:
        return self.context_end + len(self.template.after)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    B windows padded to the longest one's T tokens.

    Args:
        windows: the B windows.
        input_ids: (B, T) int64.
        token_type_ids: (B, T) int64, the template's type on the context and after it, else 0.
        attention_mask: (B, T) bool; False on padding.
        context_mask: (B, T) bool; True on the context's tokens alone.
    """

    windows: tuple[Window, ...]
    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    attention_mask: NDArray[np.bool_]
    context_mask: NDArray[np.bool_]


def split_into_windows(
    pair: int,
    question_ids: NDArray[np.int64],
    context_ids: NDArray[np.int64],
    template: Template,
    *,
    max_seq_length: int,
    max_question_length: int,
    doc_stride: int,
) -> Iterator[Window]:
    """
    Cut a context into overlapping pieces that fit a window together with the question.

    Args:
        pair: number of the (question, context) pair, handed on.
        question_ids: (n,) int64, cut to `max_question_length`.
        context_ids: (n,) int64, of any length; an empty context has no windows.
        template: the special tokens.
        max_seq_length: tokens in a window, the special ones included.
        max_question_length: tokens of the question in a window.
        doc_stride: tokens from the first token of one piece to the first of the next, as in the
            original BERT code (elsewhere the word means the overlap). It is cut to the piece's
            length, so that every token is in some window.

    Yields:
        The windows in the context's order; the last one ends where the context ends.
    """
    question_ids = question_ids[:max_question_length]
    room = max_seq_length - template.n_special - len(question_ids)
    step = min(doc_stride, room)
    first, last = 0, len(context_ids)
    while first < last:
        yield Window(pair, question_ids, context_ids[first : first + room], first, template)
        if first + room >= last:
            return
        first += step


def batches_by_length(
    windows: Iterable[AnyWindow], max_batch_tokens: int
) -> Iterator[Sequence[AnyWindow]]:
    """
    Group windows of like length, so that little is padded.

    Args:
        windows: any number of them, or of what else has a length in tokens.
        max_batch_tokens: tokens in a batch, padding included; a longer window is a batch alone.

    Yields:
        The batches, longest windows first: a machine too small for them fails at once.
    """
    batch: list[AnyWindow] = []
    for window in sorted(windows, key=len, reverse=True):
        if batch and (len(batch) + 1) * len(batch[0]) > max_batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def pad_batch(windows: Sequence[Window]) -> Batch:
    """
    Lay windows out as the model takes them.

    Args:
        windows: at least one, all of one template.
    """
    shape = len(windows), max(len(window) for window in windows)
    template = windows[0].template
    input_ids = np.full(shape, template.pad_id, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.bool_)
    context_mask = np.zeros(shape, dtype=np.bool_)
    for row, window in enumerate(windows):
        start, end, length = window.context_start, window.context_end, len(window)
        input_ids[row, : window.question_start] = template.before
        input_ids[row, window.question_start : window.question_end] = window.question_ids
        input_ids[row, window.question_end : start] = template.between
        input_ids[row, start:end] = window.context_ids
        input_ids[row, end:length] = template.after
        token_type_ids[row, start:length] = template.context_type
        attention_mask[row, :length] = True
        context_mask[row, start:end] = True
    return Batch(tuple(windows), input_ids, token_type_ids, attention_mask, context_mask)
