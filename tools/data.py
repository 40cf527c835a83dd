"""SQuAD examples -> windows with gold positions -> batches in an order that a seed decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import GoldAnswer, SquadExample, mismatched_answers
from squadlite.answering.tokenizer import TokenizedText, Tokenizer
from squadlite.answering.windows import Window, batches_by_length, pad_batch, split_into_windows
from squadlite.errors import DatasetError

# Windows of like length are batched together within pools of this many batches: wide enough to
# leave little padding, narrow enough that an epoch is still well mixed.
POOL_BATCHES = 64


@dataclass(frozen=True, slots=True)
class Feature:
    """
    A window and where its answer stands.

    Args:
        number: its place among all features; what a teacher says of it is kept under it.
        window: what the model reads.
        start, end: first and last token of the answer, counted in the window; 0, which is [CLS],
            where the window doesn't hold the whole answer or there is none.
    """

    number: int
    window: Window
    start: int
    end: int

    @property
    def has_answer(self) -> bool:
        """Whether the window holds the answer."""
        return self.start > 0

    def __len__(self) -> int:
        return len(self.window)


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """
    B features padded to the longest one's T tokens, as tensors.

    Args:
        features: the B features.
        input_ids, token_type_ids: (B, T) int64.
        attention_mask: (B, T) bool; False on padding.
        starts, ends: (B,) int64, gold positions.
    """

    features: Sequence[Feature]
    input_ids: torch.Tensor
    token_type_ids: torch.Tensor
    attention_mask: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same batch on another device."""
        tensors = (*self.inputs, self.starts, self.ends)
        return TrainingBatch(self.features, *(tensor.to(device) for tensor in tensors))

    @property
    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the model's `forward` takes."""
        return self.input_ids, self.token_type_ids, self.attention_mask


def make_features(
    examples: Sequence[SquadExample], tokenizer: Tokenizer, settings: ReaderSettings
) -> list[Feature]:
    """
    Cut every example into windows and find its answer in them.

    Args:
        examples: as from `load_squad`; the first answer of each is the gold one, as in the
            original BERT code.
        tokenizer: of the model that is to be trained.
        settings: lengths of windows, questions and strides.

    Raises:
        DatasetError: an answer that doesn't stand where it says, or of which no token is made.

    Source: Devlin et al. 2018, section 4.3; Deng & Looi 2020, section 3.1.
    """
    mismatches = list(mismatched_answers(examples))
    if mismatches:
        raise DatasetError(f"{len(mismatches)} answers don't match their text: {mismatches[0]}")
    questions = _encode_once([example.question for example in examples], tokenizer)
    contexts = _encode_once([example.context for example in examples], tokenizer)
    features: list[Feature] = []
    for pair, example in enumerate(examples):
        context = contexts[example.context]
        answer = _gold_tokens(example, context.offsets)
        for window in split_into_windows(
            pair,
            questions[example.question].ids,
            context.ids,
            max_seq_length=settings.max_seq_length,
            max_question_length=settings.max_question_length,
            doc_stride=settings.doc_stride,
        ):
            features.append(Feature(len(features), window, *_place_in(window, answer)))
    if not features:
        raise DatasetError("found no context with words in it, expected one at least")
    return features


def epoch_batches(
    features: Sequence[Feature], *, batch_size: int, seed: int, epoch: int
) -> list[Sequence[Feature]]:
    """
    Deal the features out in batches of like length.

    Args:
        features: of all examples.
        batch_size: features in a batch; the epoch's last but one pool may leave a smaller one.
        seed, epoch: decide the order, and nothing else does.

    Returns:
        ceil(n_features / batch_size) batches that hold every feature once.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(features)).tolist()
    batches: list[Sequence[Feature]] = []
    for first in range(0, len(order), batch_size * POOL_BATCHES):
        pool = [features[i] for i in order[first : first + batch_size * POOL_BATCHES]]
        pool.sort(key=len)
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches)).tolist()]


def count_batches(n_features: int, batch_size: int) -> int:
    """Batches that `epoch_batches` makes."""
    return -(-n_features // batch_size)


def passes(
    features: Sequence[Feature], max_tokens: int, tokenizer: Tokenizer
) -> Iterator[TrainingBatch]:
    """
    Lay a batch out for the model in as many passes as a budget of tokens asks for.

    Args:
        features: of one batch.
        max_tokens: in a pass, padding included; a longer feature is a pass alone.
        tokenizer: knows the special tokens.
    """
    for part in batches_by_length(features, max_tokens):
        padded = pad_batch(
            [feature.window for feature in part],
            cls_id=tokenizer.cls_id,
            sep_id=tokenizer.sep_id,
            pad_id=tokenizer.pad_id,
        )
        yield TrainingBatch(
            part,
            torch.from_numpy(padded.input_ids),
            torch.from_numpy(padded.token_type_ids),
            torch.from_numpy(padded.attention_mask),
            torch.tensor([feature.start for feature in part]),
            torch.tensor([feature.end for feature in part]),
        )


def _encode_once(texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, TokenizedText]:
    # Many examples share a context.
    unique = list(dict.fromkeys(texts))
    return dict(zip(unique, tokenizer.encode_batch(unique), strict=True))


def _gold_tokens(example: SquadExample, offsets: NDArray[np.int64]) -> tuple[int, int] | None:
    # First and last token of the answer in the whole context.
    if not example.has_answer:
        return None
    answer: GoldAnswer = example.answers[0]
    first = int(np.searchsorted(offsets[:, 1], answer.start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], answer.start + len(answer.text), side="left")) - 1
    if last < first:
        raise DatasetError(
            f"question {example.id!r}: found no token in its answer {answer.text!r}, "
            "expected one at least"
        )
    return first, last


def _place_in(window: Window, answer: tuple[int, int] | None) -> tuple[int, int]:
    if answer is None:
        return 0, 0
    first, last = (token - window.first_token for token in answer)
    if first < 0 or last >= len(window.context_ids):
        return 0, 0
    return first + window.context_start, last + window.context_start
