"""
SQuAD examples -> windows with gold positions -> groups of them -> batches in an order that a seed
decides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import GoldAnswer, SquadExample, mismatched_answers
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.windows import Window, batches_by_length, pad_batch
from squadlite.errors import DatasetError

# Groups of one article stand together in runs of this length where other groups' passages serve as
# negatives: those of the same book are the ones a search has to tell apart.
ARTICLE_RUN = 8


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
class Group:
    """
    Windows whose spans are normalised together, with one "no answer": those of all passages that
    were found for a question, or a single one.

    Args:
        title: of the article or book that they are from.
        features: at least one.
    """

    title: str
    features: tuple[Feature, ...]

    def __len__(self) -> int:
        return sum(map(len, self.features))


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """
    B features of G groups padded to the longest one's T tokens, as tensors.

    Args:
        features: the B features, group by group.
        groups: (B,) int64, the group of each, 0..G-1.
        input_ids, token_type_ids: (B, T) int64.
        attention_mask: (B, T) bool; False on padding.
        starts, ends: (B,) int64, gold positions.
    """

    features: Sequence[Feature]
    groups: torch.Tensor
    input_ids: torch.Tensor
    token_type_ids: torch.Tensor
    attention_mask: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same batch on another device."""
        tensors = (self.groups, *self.inputs, self.starts, self.ends)
        return TrainingBatch(self.features, *(tensor.to(device) for tensor in tensors))

    @property
    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the model's `forward` takes."""
        return self.input_ids, self.token_type_ids, self.attention_mask


def take_share(
    examples: Sequence[SquadExample], shares: Sequence[tuple[str, float]]
) -> list[SquadExample]:
    """
    Leave questions out by their articles' titles.

    Args:
        examples: in any order.
        shares: patterns as of a shell, each with the share of questions to take, 0..1; the last
            that fits a title counts. A title that none fits keeps all its questions.

    Returns:
        Those taken. A question asked of several passages is taken with all of them or not at all;
        which are taken follows from their texts alone.
    """
    taken = []
    for example in examples:
        share = 1.0
        for pattern, wanted in shares:
            if fnmatchcase(example.title, pattern):
                share = wanted
        if _place_in_unit(example.title, example.question) < share:
            taken.append(example)
    return taken


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
    questions = tokenizer.encode_once(example.question for example in examples)
    contexts = tokenizer.encode_once(example.context for example in examples)
    features: list[Feature] = []
    for pair, example in enumerate(examples):
        context = contexts[example.context]
        answer = _gold_tokens(example, context.offsets)
        for window in settings.windows(
            pair, questions[example.question].ids, context.ids, tokenizer.template
        ):
            features.append(Feature(len(features), window, *_place_in(window, answer)))
    if not features:
        raise DatasetError("found no context with words in it, expected one at least")
    return features


def alone(features: Sequence[Feature]) -> list[Group]:
    """Make a group of each feature, without a title."""
    return [Group("", (feature,)) for feature in features]


def group_features(
    features: Sequence[Feature], examples: Sequence[SquadExample], *, together: bool
) -> list[Group]:
    """
    Gather the windows whose spans are normalised together.

    Args:
        features: of the examples, as from `make_features`.
        examples: what they were made of.
        together: all windows of a question asked of one article make a group, in whichever of the
            article's passages they stand; else each is its own.

    Returns:
        The groups in the order of their first windows.
    """
    members: dict[tuple[str, ...], list[Feature]] = {}
    for feature in features:
        example = examples[feature.window.pair]
        key = (example.title, example.question) if together else (str(feature.number),)
        members.setdefault(key, []).append(feature)
    return [
        Group(examples[windows[0].window.pair].title, tuple(windows))
        for windows in members.values()
    ]


def epoch_batches(
    groups: Sequence[Group],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    article_run: int = 1,
    max_windows: int | None = None,
) -> list[Sequence[Group]]:
    """
    Deal the groups out in batches.

    Args:
        groups: of all examples.
        batch_size: groups in a batch; the epoch's last batch may be smaller.
        seed, epoch: decide the order, and nothing else does.
        article_run: so many groups of one article stand together, where it has as many.
        max_windows: of a group with more, so many are drawn, at least 2: at most half of them hold
            the answer where others are left; None: all.

    Returns:
        ceil(n_groups / batch_size) batches that hold every group once; within a batch the longest
        come first, so that processes which take them in turn have as much to do.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(groups)).tolist()
    if article_run > 1:
        order = _in_runs(order, [group.title for group in groups], article_run, generator)
    if max_windows is not None:
        groups = [_draw(group, max_windows, generator) for group in groups]
    return [
        sorted((groups[i] for i in order[first : first + batch_size]), key=len, reverse=True)
        for first in range(0, len(order), batch_size)
    ]


def count_batches(n_groups: int, batch_size: int) -> int:
    """Batches that `epoch_batches` makes."""
    return -(-n_groups // batch_size)


def passes(
    features: Sequence[Feature], max_tokens: int, tokenizer: Tokenizer
) -> Iterator[TrainingBatch]:
    """Lay single windows out for the model: `group_passes` of groups of one."""
    return group_passes(alone(features), max_tokens, tokenizer)


def group_passes(
    groups: Sequence[Group], max_tokens: int, tokenizer: Tokenizer
) -> Iterator[TrainingBatch]:
    """
    Lay a batch out for the model in as many passes as a budget of tokens asks for.

    Args:
        groups: of one batch.
        max_tokens: in a pass; a longer group is a pass alone.
        tokenizer: knows the special tokens.
    """
    for part in batches_by_length(groups, max_tokens):
        features = [feature for group in part for feature in group.features]
        padded = pad_batch([feature.window for feature in features])
        sizes = torch.tensor([len(group.features) for group in part])
        yield TrainingBatch(
            features,
            torch.arange(len(part)).repeat_interleave(sizes),
            torch.from_numpy(padded.input_ids),
            torch.from_numpy(padded.token_type_ids),
            torch.from_numpy(padded.attention_mask),
            torch.tensor([feature.start for feature in features]),
            torch.tensor([feature.end for feature in features]),
        )


def _draw(group: Group, number: int, generator: np.random.Generator) -> Group:
    if len(group.features) <= number:
        return group
    shuffled = [group.features[i] for i in generator.permutation(len(group.features)).tolist()]
    holding = [feature for feature in shuffled if feature.has_answer]
    others = [feature for feature in shuffled if not feature.has_answer]
    n_holding = min(len(holding), max(number // 2, number - len(others)))
    drawn = [*holding[:n_holding], *others[: number - n_holding]]
    return Group(group.title, tuple(sorted(drawn, key=lambda feature: feature.number)))


def _in_runs(
    order: Sequence[int], titles: Sequence[str], length: int, generator: np.random.Generator
) -> list[int]:
    # Each article's groups in the order given, cut into runs, and the runs shuffled.
    articles: dict[str, list[int]] = {}
    for i in order:
        articles.setdefault(titles[i], []).append(i)
    runs = [
        article[first : first + length]
        for article in articles.values()
        for first in range(0, len(article), length)
    ]
    return [i for run in generator.permutation(len(runs)).tolist() for i in runs[run]]


def _place_in_unit(*texts: str) -> float:
    digest = sha256("\0".join(texts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


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
