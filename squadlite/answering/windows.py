"""Token ids -> windows that the model can read, batched by length."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

N_SPECIAL = 3  # [CLS] question [SEP] context [SEP]

AnyWindow = TypeVar("AnyWindow", bound=Sized)


@dataclass(frozen=True, slots=True)
class Window:
    """
    One input of the model: [CLS] question [SEP] piece of a context [SEP].

    Args:
        pair: number of the (question, context) pair that it belongs to.
        question_ids: (n_question,) int64, cut to the longest question allowed.
        context_ids: (n_context,) int64, the piece of the context; never empty.
        first_token: place of the piece's first token in the whole context.
    """

    pair: int
    question_ids: NDArray[np.int64]
    context_ids: NDArray[np.int64]
    first_token: int

    @property
    def context_start(self) -> int:
        """Place of the piece's first token in the window."""
        return len(self.question_ids) + 2

    def __len__(self) -> int:
        return len(self.question_ids) + len(self.context_ids) + N_SPECIAL


@dataclass(frozen=True, slots=True)
class Batch:
    """
    B windows padded to the longest one's T tokens.

    Args:
        windows: the B windows.
        input_ids: (B, T) int64.
        token_type_ids: (B, T) int64, 1 on the context and the [SEP] after it, else 0.
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
        max_seq_length: tokens in a window, the special ones included.
        max_question_length: tokens of the question in a window.
        doc_stride: tokens from the first token of one piece to the first of the next, as in the
            original BERT code (elsewhere the word means the overlap). It is cut to the piece's
            length, so that every token is in some window.

    Yields:
        The windows in the context's order; the last one ends where the context ends.
    """
    question_ids = question_ids[:max_question_length]
    room = max_seq_length - N_SPECIAL - len(question_ids)
    step = min(doc_stride, room)
    first, last = 0, len(context_ids)
    while first < last:
        yield Window(pair, question_ids, context_ids[first : first + room], first)
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


def pad_batch(windows: Sequence[Window], *, cls_id: int, sep_id: int, pad_id: int) -> Batch:
    """
    Lay windows out as the model takes them.

    Args:
        windows: at least one.
        cls_id, sep_id, pad_id: ids of the special tokens.
    """
    shape = len(windows), max(len(window) for window in windows)
    input_ids = np.full(shape, pad_id, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.bool_)
    context_mask = np.zeros(shape, dtype=np.bool_)
    input_ids[:, 0] = cls_id
    for row, window in enumerate(windows):
        start, end = window.context_start, len(window) - 1
        input_ids[row, 1 : start - 1] = window.question_ids
        input_ids[row, start - 1] = sep_id
        input_ids[row, start:end] = window.context_ids
        input_ids[row, end] = sep_id
        token_type_ids[row, start : end + 1] = 1
        attention_mask[row, : end + 1] = True
        context_mask[row, start:end] = True
    return Batch(tuple(windows), input_ids, token_type_ids, attention_mask, context_mask)
