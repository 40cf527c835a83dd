"""
What unlabelled text tells about a model: which words and places it uses, and what its maps are fed.

Nothing here looks at an answer, so that a model is not fitted to the data a second time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.vocabulary import count_pieces, read_corpus
from squadlite.answering.windows import Batch, Window, batches_by_length, pad_batch
from squadlite.answering.windows import split_into_windows
from squadlite.errors import DatasetError
from squadlite.model import ModelConfig, QuestionAnsweringModel, SketchedLinear

Progress = Callable[[int, int], None]

# Enough that the moments of 1,536 inputs are far from singular; twice as many windows change the
# divergence of the rounded model by less than measuring it on other text does.
NUM_WINDOWS = 512
_BATCH_TOKENS = 4096


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

    def part(self, num_windows: int) -> tuple[Batch, ...]:
        """Batches of at least `num_windows` windows, of all lengths; all where there are fewer."""
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
    texts = [text for path in paths for text in read_corpus(path)]

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(texts))

    counts = count_pieces(spec, texts, progress=report)
    examples = [example for path in paths for example in load_squad(path)]
    tokenizer = Tokenizer(spec)
    windows = _windows(spread(examples, num_windows), tokenizer, config)
    if not windows:
        raise DatasetError(f"{paths[0]}: found no context with words in it, expected one at least")
    batches = tuple(
        pad_batch(part, cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id, pad_id=tokenizer.pad_id)
        for part in batches_by_length(spread(windows, num_windows), _BATCH_TOKENS)
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
        for window in split_into_windows(
            pair,
            question,
            context,
            max_seq_length=settings.max_seq_length,
            max_question_length=settings.max_question_length,
            doc_stride=settings.doc_stride,
        )
    ]


def model_inputs(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The arrays of a batch as a model's `forward` takes them."""
    return (
        torch.from_numpy(batch.input_ids),
        torch.from_numpy(batch.token_type_ids),
        torch.from_numpy(batch.attention_mask),
    )


# Maps of a layer that are fed what another is.
_FED_LIKE = {"attention.key": "attention.query", "attention.value": "attention.query"}


def input_moments(
    model: QuestionAnsweringModel,
    batches: Sequence[Batch],
    *,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """
    Second moments of what each linear map of the layers is fed: the mean of x x^T over all tokens.

    An error E of a map's weights makes an error of its outputs whose mean square is the trace of
    E M E^T, with M its moments.

    Args:
        model: in eval mode.
        batches: what it reads.
        progress: called with (windows read, windows).

    Returns:
        Name of each map's weights -> (inputs, inputs) float32. For a sketched map these are the
        moments of the sketched inputs.
    """
    maps = {
        f"layers.{number}.{name}": layer.get_submodule(name)
        for number, layer in enumerate(model.stored_layers)
        for name in model.config.linear_shapes
    }
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    mask = torch.empty(0, dtype=torch.bool)

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
            x = inputs[0][mask]  # (tokens, inputs)
            sums[name] = sums.get(name, 0) + x.T @ x
            counts[name] = counts.get(name, 0) + len(x)

        return hook

    own = [name for name in maps if name.split(".", 2)[2] not in _FED_LIKE]
    hooks = [maps[name].register_forward_pre_hook(keep(name)) for name in own]
    done, total = 0, sum(len(batch.windows) for batch in batches)
    try:
        with torch.inference_mode():
            for batch in batches:
                inputs = model_inputs(batch)
                mask = inputs[2]
                model(*inputs)
                done += len(batch.windows)
                if progress is not None:
                    progress(done, total)
    finally:
        for handle in hooks:
            handle.remove()
    moments = {}
    for name, linear in maps.items():
        layer, number, kind = name.split(".", 2)
        fed = f"{layer}.{number}.{_FED_LIKE.get(kind, kind)}"
        of_inputs = sums[fed] / counts[fed]
        if isinstance(linear, SketchedLinear):
            sketch = linear.sketch
            moments[f"{name}.sketched_weight"] = sketch @ of_inputs @ sketch.T
        else:
            moments[f"{name}.weight"] = of_inputs
    return moments
