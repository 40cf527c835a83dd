"""
One model of several that were trained from the same beginning: the mean of their weights.

    python -m tools.average CHECKPOINT OUTPUT --other FOLDER --weight 0.9 --weight 0.1

Trainings of one model that differ in data, length or order end near one another, and what lies
between them often answers new questions better than each. So does a step back from a fine-tuned
model towards the one that it began as, which has learned less by heart.

Source: Wortsman et al. 2022, "Model soups" (arXiv:2203.05482) and "Robust fine-tuning of zero-shot
models" (arXiv:2109.01903).
"""

from collections.abc import Sequence
from pathlib import Path

import click
import torch

from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint
from tools.command import checkpoint_argument, existing_folder, output_argument, run
from tools.folders import digest_folder, load_input, write_output


def average(checkpoints: Sequence[Checkpoint], weights: Sequence[float]) -> Checkpoint:
    """
    Add up models.

    Args:
        checkpoints: at least one, all of one shape.
        weights: what each counts for; only their ratios matter.

    Raises:
        CheckpointError: shapes that differ, or weights that aren't one above 0 for each.
    """
    if len(weights) != len(checkpoints) or not all(weight > 0 for weight in weights):
        raise CheckpointError(
            f"weights: found {', '.join(f'{weight:g}' for weight in weights) or 'none'}, "
            f"expected {len(checkpoints)} above 0, one for each model"
        )
    first, *others = checkpoints
    for other in others:
        if other.config != first.config:
            raise CheckpointError(f"found a model of {other.config}, expected {first.config}")
    total = sum(weights)
    return Checkpoint(
        first.config,
        {
            name: _mean([model.tensors[name] for model in checkpoints], weights, total)
            for name in first.tensors
        },
    )


def _mean(tensors: list[torch.Tensor], weights: Sequence[float], total: float) -> torch.Tensor:
    # In double precision, so that equal tensors stay as they are.
    parts = [
        weight / total * tensor.double() for tensor, weight in zip(tensors, weights, strict=True)
    ]
    return torch.stack(parts).sum(dim=0).to(tensors[0].dtype)


@click.command(name="average")
@checkpoint_argument
@output_argument
@click.option(
    "--other",
    type=existing_folder,
    multiple=True,
    required=True,
    help="A checkpoint folder of the same shape and vocabulary.",
)
@click.option(
    "--weight",
    type=float,
    multiple=True,
    help="What CHECKPOINT counts for, then each other; left out: all alike.",
)
def main(
    checkpoint: Path, output: Path, other: tuple[Path, ...], weight: tuple[float, ...]
) -> None:
    """
    Write the mean of the model in CHECKPOINT and others to OUTPUT.

    \b
    Example:
      python -m tools.average tuned averaged --other base --weight 0.9 --weight 0.1
    """
    start, *others = (load_input(folder) for folder in (checkpoint, *other))
    for one in others:
        if one.spec != start.spec:
            raise CheckpointError(
                f"{one.folder}: found another tokenizer, expected that of {start.folder}"
            )
    weights = weight or (1.0,) * (1 + len(others))
    averaged = average([one.checkpoint for one in (start, *others)], weights)
    stage = {
        "stage": "average",
        "weights": list(weights),
        "others": [digest_folder(one.folder) for one in others],
    }
    with write_output(output, averaged, stage, source=start.folder):
        pass
    click.echo(f"{output}: the mean of {1 + len(others)} models")


if __name__ == "__main__":
    run(main)
