"""
"No answer" put right for single contexts: the null score shifted so that threshold 0 is the best.

    python -m tools.balance_null CHECKPOINT OUTPUT --data train.json

A training over groups of passages, or with other shares of unanswerable questions than it is used
for, leaves a model that finds spans well and says "no answer" too seldom or too often: the best
null_score_diff_threshold is far from 0. The span head has no bias for [CLS] alone. But [CLS] has
hidden states like no other token's, so that a direction d is found in which all of its states lie
near 1 and all others near 0, by least squares; a multiple of d added to the head's weights shifts
the null score and little else.

Source: Rajpurkar et al. 2018 for the threshold.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import torch

from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.cli.output import progress_bar
from squadlite.digests import digest_of
from squadlite.model import Checkpoint, QuestionAnsweringModel, model_from_checkpoint
from tools.command import TitleShare, checkpoint_argument, existing_file, output_argument, run
from tools.data import TrainingBatch, make_features, passes, take_share
from tools.evaluation import evaluate_model
from tools.folders import load_input, write_output
from tools.rows import last_hidden

_PASS_TOKENS = 1024
# Of the others' mean square: what keeps d short where the states say nothing.
_RIDGE = 1e-3


def null_direction(
    model: QuestionAnsweringModel, batches: Iterator[TrainingBatch]
) -> tuple[torch.Tensor, float]:
    """
    Find the direction that tells [CLS] from all other tokens.

    Args:
        model: in eval mode, on any device.
        batches: windows, at least one.

    Returns:
        (hidden,) float32, and the root mean square of what is left: of h.d - 1 over the [CLS], and
        of h.d over the others, both counted alike.
    """
    size, device = model.config.hidden_size, next(model.parameters()).device
    own, others = torch.zeros(2, size, size, dtype=torch.float64)
    mean = torch.zeros(size, dtype=torch.float64)
    n_own = n_others = 0
    for batch in batches:
        with torch.inference_mode():
            rows = last_hidden(model, batch.to(device).inputs).cpu().double()
        lengths = batch.attention_mask.sum(dim=1)
        is_null = torch.zeros(len(rows), dtype=torch.bool)
        is_null[lengths.cumsum(0) - lengths] = True
        nulls, rest = rows[is_null], rows[~is_null]
        own += nulls.T @ nulls
        others += rest.T @ rest
        mean += nulls.sum(dim=0)
        n_own, n_others = n_own + len(nulls), n_others + len(rest)
    own, others, mean = own / n_own, others / n_others, mean / n_own
    ridge = _RIDGE * others.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    direction = torch.linalg.solve(own + others + ridge, mean)
    left = direction @ (own + others) @ direction - 2 * direction @ mean + 1
    return direction.float(), float((left / 2).clamp(min=0).sqrt())


def balance(
    checkpoint: Checkpoint, tokenizer: Tokenizer, examples: Sequence[SquadExample]
) -> tuple[Checkpoint, dict[str, float]]:
    """
    Shift the null score so that threshold 0 is the best; a GPU reads where there is one.

    Args:
        checkpoint: of any encoder.
        tokenizer: of the model.
        examples: answerable and unanswerable ones, in the shares that count.

    Returns:
        The checkpoint with another span head, and what was done: the shift, the error of the
        direction, F1 at threshold 0 before.
    """
    model = model_from_checkpoint(checkpoint).eval()
    if torch.cuda.is_available():
        model = model.to("cuda")
    windows = ReaderSettings().within(checkpoint.config.max_position_embeddings)
    with progress_bar("Reading") as progress:
        scores = evaluate_model(model, tokenizer, examples, settings=windows, progress=progress)
    features = make_features(examples, tokenizer, windows)
    direction, error = null_direction(model, passes(features, _PASS_TOKENS, tokenizer))
    shift = -scores["best_f1_thresh"]
    head = checkpoint.tensors["span_head.weight"]
    moved = head + shift / 2 * direction.to(head.dtype)  # start and end have half of it each
    tensors = {**checkpoint.tensors, "span_head.weight": moved}
    return Checkpoint(checkpoint.config, tensors), {
        "shift": shift,
        "direction_error": error,
        "f1_before": scores["f1"],
    }


@click.command()
@checkpoint_argument
@output_argument
@click.option("--data", type=existing_file, required=True, help="SQuAD 2.0 file to balance on.")
@click.option(
    "--take",
    type=TitleShare(),
    multiple=True,
    help="Use this share of the questions of articles with such titles only.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=2000, show_default=True, help="Questions to ask."
)
def main(
    checkpoint: Path, output: Path, data: Path, take: tuple[tuple[str, float], ...], limit: int
) -> None:
    """
    Shift what the model in CHECKPOINT says of "no answer" and write it to OUTPUT.

    \b
    Example:
      python -m tools.balance_null tuned balanced --data train-v2.0.json
    """
    start = load_input(checkpoint)
    examples = spread(take_share(load_squad(data), take), limit)
    balanced, done = balance(start.checkpoint, Tokenizer(start.spec), examples)
    stage = {
        "stage": "balance_null",
        "data": digest_of(data),
        "take": [list(item) for item in take],
        "questions": len(examples),
        **done,
    }
    with write_output(output, balanced, stage, source=start.folder):
        pass
    click.echo(
        f"{output}: null score {done['shift']:+.2f}, "
        f"off by {abs(done['shift']) * done['direction_error']:.2f} at a token"
    )


if __name__ == "__main__":
    run(main)
