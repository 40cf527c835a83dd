"""Scores of a model wherever it is, also in the middle of its training."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from squadlite.answering.evaluate import evaluate
from squadlite.answering.reader import Reader, ReaderSettings
from squadlite.answering.squad import SquadExample
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.cli.output import progress_bar
from squadlite.config import Compute
from squadlite.model import QuestionAnsweringModel, TorchScorer, load_model
from squadlite.progress import Progress

# Big batches keep a GPU busy; a CPU's caches like those of the reader's own settings.
_GPU_BATCH_TOKENS = 65_536


def score_path(
    path: Path,
    examples: Sequence[SquadExample] | None,
    *,
    limit: int | None = None,
    compute: Compute = "f32",
) -> tuple[int, dict[str, float] | None]:
    """
    Count and score a model on disk, on a GPU where there is one.

    Args:
        path: a checkpoint folder or a .sqz file.
        examples: as from `load_squad`; None: only count.
        limit: take this many, spread evenly; None: all.
        compute: the numbers that a CPU computes in, as for `Reader.load`.

    Returns:
        The values that the model stores, and its scores.
    """
    if examples is not None and not torch.cuda.is_available():
        reader = Reader.load(path, compute=compute)
        with progress_bar("Reading") as progress:
            scores = evaluate(reader, examples, limit=limit, progress=progress).scores
        return reader.scorer.config.num_parameters, scores
    model = load_model(path)
    num_parameters = model.config.num_parameters
    if examples is None:
        return num_parameters, None
    tokenizer = Tokenizer(TokenizerSpec.load(path))
    with progress_bar("Reading") as progress:
        scores = evaluate_model(
            model.to("cuda"), tokenizer, examples, limit=limit, progress=progress
        )
    return num_parameters, scores


def evaluate_model(
    model: QuestionAnsweringModel,
    tokenizer: Tokenizer,
    examples: Sequence[SquadExample],
    *,
    limit: int | None = None,
    settings: ReaderSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """
    Score a model on SQuAD examples, on the device where it is.

    Args:
        model: in any mode, and left in it.
        tokenizer: of the model.
        examples: as from `load_squad`.
        limit: take this many, spread evenly; None: all.
        settings: of the reader; None: its own.
        progress: called with the windows read and their total.

    Returns:
        The official scores: "exact", "f1" and so on.
    """
    device = next(model.parameters()).device
    settings = settings or ReaderSettings()
    was_training = model.training
    with ExitStack() as undo:
        if device.type != "cpu":
            settings = ReaderSettings(**vars(settings) | {"max_batch_tokens": _GPU_BATCH_TOKENS})
            undo.callback(model.register_forward_pre_hook(_moved_to(device)).remove)
            undo.callback(model.register_forward_hook(_moved_back).remove)
        undo.callback(model.train, was_training)
        model.eval()
        threads = None if device.type == "cpu" else 1
        reader = Reader(TorchScorer(model), tokenizer, settings, threads=threads)
        return evaluate(reader, examples, limit=limit, progress=progress).scores


def _moved_to(device: torch.device) -> Callable[[Any, tuple[torch.Tensor, ...]], Any]:
    return lambda module, inputs: tuple(tensor.to(device) for tensor in inputs)


def _moved_back(module: Any, inputs: Any, logits: tuple[torch.Tensor, ...]) -> Any:
    return tuple(part.cpu() for part in logits)
