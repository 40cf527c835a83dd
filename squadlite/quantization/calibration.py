"""
What unlabelled text tells about a model: which words and places it uses, and what its maps are fed.

Nothing here looks at an answer, so that a model is not fitted to the data a second time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.vocabulary import count_pieces
from squadlite.answering.windows import Batch, Window, batches_by_length, pad_batch
from squadlite.errors import DatasetError
from squadlite.model import ModelConfig, QuestionAnsweringModel, SketchedLinear
from squadlite.progress import Progress
from squadlite.tensors import POSITION_EMBEDDINGS, WORD_EMBEDDINGS

# Some fifty thousand tokens, for maps of one or two thousand inputs.
NUM_WINDOWS = 256
_BATCH_TOKENS = 4096  # at most, padding included


@dataclass(frozen=True)
class CalibrationText:
    """
    Text in the form that a model reads.

    Args:
        batches: windows of (question, context) pairs, spread evenly over the text.
        piece_counts: (V,) int64, how often each word piece stands in all of the text.
    """

    batches: tuple[Batch, ...]
    piece_counts: NDArray[np.int64]

    @property
    def num_windows(self) -> int:
        """Windows in all batches."""
        return sum(len(batch.windows) for batch in self.batches)

    def position_counts(self, num_positions: int) -> NDArray[np.int64]:
        """(num_positions,) int64: how many of the windows reach each position."""
        counts = np.zeros(num_positions, dtype=np.int64)
        for batch in self.batches:
            reached = batch.attention_mask.sum(axis=0)
            counts[: len(reached)] += reached
        return counts

    def windows(self, number: int) -> Iterator[Batch]:
        """So many of the windows, each a batch of its own; over again where there are fewer."""
        places = [(batch, row) for batch in self.batches for row in range(len(batch.windows))]
        for batch, row in islice(cycle(spread(places, number)), number):
            window = batch.windows[row]
            place = slice(row, row + 1), slice(len(window))
            yield Batch(
                (window,),
                batch.input_ids[place],
                batch.token_type_ids[place],
                batch.attention_mask[place],
                batch.context_mask[place],
            )

    def part(self, num_windows: int) -> tuple[Batch, ...]:
        """Some of the batches, of all lengths: about `num_windows` windows, or all there are."""
        share = -(-len(self.batches) * num_windows // self.num_windows)
        return tuple(spread(self.batches, max(share, 1)))


def read_calibration(
    paths: Sequence[Path],
    spec: TokenizerSpec,
    config: ModelConfig,
    *,
    num_windows: int = NUM_WINDOWS,
    progress: Progress | None = None,
) -> CalibrationText:
    """
    Read SQuAD files as calibration text; their answers are not looked at.

    Args:
        paths: files in the format of SQuAD 1.1 or 2.0.
        spec: the model's tokenizer.
        config: of the model.
        num_windows: to read at most.
        progress: called with (texts counted, texts).

    Raises:
        DatasetError: a file that is none, or without a word of context.
        OSError: a file can't be read.
    """
    examples = [example for path in paths for example in load_squad(path)]
    contexts = dict.fromkeys(example.context for example in examples)
    texts = [*contexts, *(example.question for example in examples)]

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(texts))

    tokenizer = Tokenizer(spec)
    counts = count_pieces(spec, texts, progress=report)
    # No text has them, and every window does.
    counts[[tokenizer.cls_id, tokenizer.sep_id]] = len(texts)
    windows = _windows(spread(examples, num_windows), tokenizer, config)
    if not windows:
        raise DatasetError(f"{paths[0]}: found no context with words in it, expected one at least")
    batches = tuple(
        pad_batch(part) for part in batches_by_length(spread(windows, num_windows), _BATCH_TOKENS)
    )
    return CalibrationText(batches, counts)


def _windows(
    examples: Sequence[SquadExample], tokenizer: Tokenizer, config: ModelConfig
) -> list[Window]:
    settings = ReaderSettings().within(config.max_position_embeddings)
    questions = tokenizer.encode_ids([example.question for example in examples])
    contexts = tokenizer.encode_ids([example.context for example in examples])
    return [
        window
        for pair, (question, context) in enumerate(zip(questions, contexts, strict=True))
        for window in settings.windows(pair, question, context, tokenizer.template)
    ]


def weight_moments(
    model: QuestionAnsweringModel,
    batches: Sequence[Batch],
    *,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """
    How much errors of weights matter: a matrix M for each matrix of weights.

    An error E of a linear map's weights moves the map's output for an input x by E x, whose squared
    length is on average the trace of E M E^T, where M is the mean of x x^T over tokens.

    An error e of an embedding moves the sum of a token's vectors by e itself, whatever the token.
    How far that moves the span distributions is, to second order, the mean of (g.e)^2, so that
    there M is the mean of g g^T: g is the gradient of the logits in a random direction that has the
    covariance of Fisher's information.

    Args:
        model: in eval mode, without gradients.
        batches: what it reads.
        progress: called with (windows read, windows).

    Returns:
        Name of each matrix of weights, but for token types -> (columns, columns) float32. The
        columns of a sketched map are its sketched inputs.

    Source: Frantar et al. 2022 (x x^T); Martens 2014 (Fisher's information and its sampling).
    """
    maps = {
        f"layers.{number}.{name}": layer.get_submodule(name)
        for number, layer in enumerate(model.stored_layers)
        for name in model.config.linear_shapes
    }
    sums = _Sums()
    # The directions in which gradients are taken are the same each time.
    generator = torch.Generator().manual_seed(0)
    num_windows, total = 0, sum(len(batch.windows) for batch in batches)
    with sums.watching(model, maps):
        for batch in batches:
            sums.mask = torch.from_numpy(batch.attention_mask)
            logits = span_logits(model, batch)
            torch.autograd.backward(logits, fisher_direction(logits.detach(), generator))
            num_windows += len(batch.windows)
            if progress is not None:
                progress(num_windows, total)
    num_tokens = sum(int(batch.attention_mask.sum()) for batch in batches)
    means = {name: of_name / num_tokens for name, of_name in sums.by_name.items()}
    moments = dict.fromkeys((WORD_EMBEDDINGS, POSITION_EMBEDDINGS), means[WORD_EMBEDDINGS])
    for name, linear in maps.items():
        moment = means[_fed_like(name)]
        if isinstance(linear, SketchedLinear):
            moments[f"{name}.sketched_weight"] = linear.sketch @ moment @ linear.sketch.T
        else:
            moments[f"{name}.weight"] = moment
    return moments


class _Sums:
    """
    Sums of v v^T over the vectors v of tokens, as they pass through a model.

    Attributes:
        by_name: of the inputs of each linear map that no other is fed like; and, under the name of
            the word embeddings, of the gradients of the sums of embeddings.
        mask: (B, T) bool, the tokens of the batch that is being read.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, torch.Tensor] = {}
        self.mask = torch.empty(0, dtype=torch.bool)

    @contextmanager
    def watching(
        self, model: QuestionAnsweringModel, maps: Mapping[str, torch.nn.Module]
    ) -> Iterator[None]:
        """Add up what passes through a model and its linear maps, by name, within the block."""
        handles = [model.embeddings.word.register_forward_hook(self._watch_gradients)]
        for name, linear in maps.items():
            if _fed_like(name) == name:
                handles.append(linear.register_forward_pre_hook(self._watch_inputs(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch_inputs(self, name: str) -> Callable[..., None]:
        return lambda module, inputs: self._add(name, inputs[0].detach())

    def _watch_gradients(
        self, module: torch.nn.Module, inputs: Any, output: torch.Tensor
    ) -> torch.Tensor:
        output = output.detach().requires_grad_()
        output.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: self._add(WORD_EMBEDDINGS, gradient)
        )
        return output

    def _add(self, name: str, vectors: torch.Tensor) -> None:
        # vectors: (B, T, columns)
        chosen = vectors[self.mask]
        self.by_name[name] = self.by_name.get(name, torch.zeros(())) + chosen.T @ chosen


def _fed_like(name: str) -> str:
    # A map of the same layer that has the same inputs, perhaps itself.
    for other in ("attention.key", "attention.value"):
        name = name.replace(other, "attention.query")
    return name


def span_logits(model: QuestionAnsweringModel, batch: Batch) -> torch.Tensor:
    """(2, B, T): start and end logits of a batch's windows; -inf where no reader looks at them."""
    places = torch.from_numpy(batch.context_mask).clone()
    places[:, 0] = True  # [CLS], which stands for no answer
    logits = torch.stack(
        model(
            torch.from_numpy(batch.input_ids),
            torch.from_numpy(batch.token_type_ids),
            torch.from_numpy(batch.attention_mask),
        )
    )
    return logits.masked_fill(~places, -torch.inf)


def fisher_direction(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """
    Draw a direction whose covariance is Fisher's information in the logits.

    A change d of the logits moves their distributions by half the mean of (direction.d)^2, to
    second order and in nats.

    Args:
        logits: (2, B, T), as from `span_logits`.
        generator: where the direction comes from.

    Returns:
        (2, B, T), 0 where no reader looks.
    """
    # Of chances p the information is diag(p) - p p^T = L L^T with L = diag(r) - p r^T, r = sqrt(p).
    chances = logits.softmax(dim=2)
    noise = chances.sqrt() * torch.randn(chances.shape, generator=generator)
    return noise - chances * noise.sum(dim=2, keepdim=True)
