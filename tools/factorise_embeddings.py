"""
Narrow embeddings with a projection, as ELECTRA and ALBERT have them, out of a trained model's wide.

    python -m tools.factorise_embeddings CHECKPOINT OUTPUT --size 128 --corpus train.json

The sums of word, position and type are taken to the directions in which they spread most. What the
model then computes is exactly what it would with its sums so projected: the norm is kept by an
orthonormal basis, so that the narrow norm divides by what the wide one would divide by.

Source: Lan et al. 2019 (ALBERT), section 3.1, for the shape.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import torch

from squadlite.answering.vocabulary import count_pieces, read_corpus
from squadlite.config import tensor_shapes
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint
from tools.command import checkpoint_argument, existing_file, output_argument, run
from tools.folders import load_input, write_output


class Factorised(NamedTuple):
    """
    A model with narrow embeddings.

    Args:
        checkpoint: it.
        kept: share of the sums' squares, about their mean over each vector, that it keeps; 0..1.
    """

    checkpoint: Checkpoint
    kept: float


def factorise_embeddings(
    checkpoint: Checkpoint, size: int, *, weights: torch.Tensor | None = None
) -> Factorised:
    """
    Give a model narrow embeddings.

    Args:
        checkpoint: a model whose embeddings are as wide as its layers.
        size: width of the new ones, at least 2 and below the layers' width.
        weights: (vocab_size,) how much each word piece counts, above 0 somewhere; None: all alike.

    Raises:
        CheckpointError: embeddings that have a projection already, or a size out of range.
    """
    config = checkpoint.config
    if config.embedding_size is not None:
        raise CheckpointError(
            f"embeddings: found a projection from width {config.embedding_size} already, "
            "expected none"
        )
    if not 2 <= size < config.hidden_size:
        raise CheckpointError(
            f"embedding size: found {size}, expected 2 to {config.hidden_size - 1}, "
            "less than the layers' width"
        )
    tables = {
        name: _centred(tensor)
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("embeddings.") and tensor.ndim == 2
    }
    shares = {name: torch.ones(len(table), dtype=torch.float64) for name, table in tables.items()}
    if weights is not None:
        shares["embeddings.word.weight"] = weights.double()
    spread = _second_moments(tables, shares)  # (hidden, hidden)
    directions = _main_directions(spread, size - 1)  # (hidden, size - 1)
    basis = directions @ _balanced_basis(size).T  # (hidden, size); orthogonal to a vector's mean
    kept = float((directions.T @ spread @ directions).trace() / spread.trace())

    # So scaled, variances over the narrow vectors are those over the wide ones, and the epsilon
    # that the norm adds is as much.
    scale = (size / config.hidden_size) ** 0.5
    tensors = dict(checkpoint.tensors)
    for name, table in tables.items():
        tensors[name] = (table @ basis * scale).float()
    gain = tensors["embeddings.norm.weight"].double()
    tensors["embeddings.projection.weight"] = (gain[:, None] * basis / scale).float()
    tensors["embeddings.projection.bias"] = tensors["embeddings.norm.bias"]
    tensors["embeddings.norm.weight"] = torch.ones(size)
    tensors["embeddings.norm.bias"] = torch.zeros(size)
    config = replace(config, embedding_size=size)
    return Factorised(
        Checkpoint(config, {name: tensors[name] for name in tensor_shapes(config)}), kept
    )


def _centred(table: torch.Tensor) -> torch.Tensor:
    # The norm takes the mean over each vector away in any case.
    wide = table.double()
    return wide - wide.mean(dim=1, keepdim=True)


def _second_moments(
    tables: Mapping[str, torch.Tensor], shares: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    # Of sums of one row of each table, drawn alone: the covariances add up.
    hidden = next(iter(tables.values())).shape[1]
    moments = torch.zeros(hidden, hidden, dtype=torch.float64)
    mean = torch.zeros(hidden, dtype=torch.float64)
    for name, table in tables.items():
        share = shares[name] / shares[name].sum()
        row_mean = share @ table
        moments += table.T @ (share[:, None] * table) - torch.outer(row_mean, row_mean)
        mean += row_mean
    return moments + torch.outer(mean, mean)


def _main_directions(spread: torch.Tensor, count: int) -> torch.Tensor:
    # Eigenvectors of the largest eigenvalues, (hidden, count). Centred vectors don't spread along
    # the one that is alike in all places; where they spread along few, it must not be chosen.
    hidden = len(spread)
    alike = torch.full((hidden, hidden), 1 / hidden, dtype=torch.float64)
    _, vectors = torch.linalg.eigh(spread - (1 + spread.trace()) * alike)
    chosen: torch.Tensor = vectors[:, hidden - count :]
    return chosen


def _balanced_basis(size: int) -> torch.Tensor:
    # (size, size - 1) orthonormal columns, each with mean 0, so that the narrow norm finds a mean
    # of 0 as the wide one did.
    columns = torch.eye(size, dtype=torch.float64)
    columns[:, 0] = 1
    basis, _ = torch.linalg.qr(columns)
    balanced: torch.Tensor = basis[:, 1:]
    return balanced


@click.command()
@checkpoint_argument
@output_argument
@click.option("--size", type=int, required=True, help="Width of the embeddings.")
@click.option(
    "--corpus",
    type=existing_file,
    multiple=True,
    help="Text, or a SQuAD file: word pieces count as often as they stand in it.  "
    "[default: all alike]",
)
def main(checkpoint: Path, output: Path, size: int, corpus: tuple[Path, ...]) -> None:
    """
    Make the embeddings of the model in CHECKPOINT narrow and write it to OUTPUT.

    \b
    Example:
      python -m tools.factorise_embeddings tuned narrow --size 128 --corpus train.json
    """
    start = load_input(checkpoint)
    weights = None
    if corpus:
        texts = [text for path in corpus for text in read_corpus(path)]
        # Special tokens stand in no text, and in every window.
        weights = torch.from_numpy(count_pieces(start.spec, texts) + 1)
    narrow, kept = factorise_embeddings(start.checkpoint, size, weights=weights)
    stage = {
        "stage": "factorise_embeddings",
        "size": size,
        "corpus": [digest_of(path) for path in corpus],
        "kept": round(kept, 6),
    }
    with write_output(output, narrow, stage, source=start.folder):
        pass
    before, after = start.checkpoint.config.num_parameters, narrow.config.num_parameters
    click.echo(f"{output}: {before:,} values -> {after:,}; {kept:.1%} of the embeddings' energy")


if __name__ == "__main__":
    run(main)
