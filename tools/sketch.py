"""
Random sketching: linear maps become (W S^T)(S x), S a matrix of random signs.

    python -m tools.sketch CHECKPOINT OUTPUT
    python -m tools.sketch CHECKPOINT OUTPUT --fit train-v2.0.json

W S^T is the paper's choice for the weight that S x is multiplied by: right on average over many S,
and far off for any one of them. --fit puts the best weight for this S in its place, by least
squares over what the map is given as the model reads some of the data.

The signs are those that a .sqz file's "rademacher" codec makes of a seed, so that a file may hold
the seed in their place: the seed of every sketch is in the output's sketch_seeds.json.

Source: Deng & Looi 2020, section 3.6.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import torch

from squadlite.answering.evaluate import spread
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.cli.output import progress_bar
from squadlite.container import seeded_signs, sketch_matrix
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint, model_from_checkpoint, tensor_shapes
from squadlite.progress import Progress
from squadlite.source import SKETCH_SEEDS_FILE, load_sketch_seeds
from tools.command import checkpoint_argument, existing_file, output_argument, run, seed_option
from tools.data import TrainingBatch, alone, epoch_batches, group_passes, make_features
from tools.folders import StageInput, load_input, write_json, write_output
from tools.moments import InputMoments, input_moments

# The paper's: 768 -> 256 in attention, 3072 -> 512 in the feed-forward output.
PAPER_RATIOS: Mapping[str, Fraction] = {
    **dict.fromkeys(
        (f"attention.{part}" for part in ("query", "key", "value", "output")), Fraction(1, 3)
    ),
    "feed_forward.output": Fraction(1, 6),
}

# Of the inputs' mean variance: how much the least squares hold back.
_RIDGE = 1e-4
_BATCH_SIZE = 8
_PASS_TOKENS = 2048


def sketch(
    checkpoint: Checkpoint,
    ratios: Mapping[str, Fraction],
    *,
    seed: int,
    moments: Mapping[str, InputMoments] | None = None,
) -> tuple[Checkpoint, dict[str, int]]:
    """
    Replace linear maps of every layer by sketched ones.

    Args:
        checkpoint: a model of which none of these maps is sketched yet.
        ratios: name of a linear map in a layer -> length of a sketch over the map's inputs, above
            0 and at most 1; rounded, and no shorter than 1.
        seed: the first sketch's; each sketch has one of its own, counted up from it.
        moments: for each map to sketch, of its inputs: what to fit it to. None: not fitted.

    Returns:
        The model, and tensor name -> seed for each of its sketches.

    Raises:
        CheckpointError: a map that isn't there or is sketched already, or a ratio out of range.
    """
    config = checkpoint.config
    dims = {name: _sketch_dim(checkpoint, name, ratio) for name, ratio in ratios.items()}
    config = replace(config, sketch_dims={**config.sketch_dims, **dims})
    shapes = tensor_shapes(config)
    new = [name for name in shapes if name.endswith(".sketch") and name not in checkpoint.tensors]
    seeds = {name: seed + number for number, name in enumerate(new)}
    tensors = dict(checkpoint.tensors)
    for name in new:
        module = name.removesuffix(".sketch")
        signs = seeded_signs(seeds[name], math.prod(shapes[name]))
        tensors[name] = matrix = torch.from_numpy(sketch_matrix(signs, shapes[name]))
        weight, bias = tensors.pop(f"{module}.weight"), tensors[f"{module}.bias"]
        if moments is None:
            tensors[f"{module}.sketched_weight"] = weight @ matrix.T
        else:
            tensors[f"{module}.sketched_weight"], tensors[f"{module}.bias"] = fit(
                weight, bias, matrix, moments[module]
            )
    return Checkpoint(config, {name: tensors[name] for name in shapes}), seeds


def fit(
    weight: torch.Tensor, bias: torch.Tensor, matrix: torch.Tensor, moments: InputMoments
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Find the B and c for which B (S x) + c comes nearest to W x + b, in the mean square over inputs.

    Args:
        weight, bias: W (outputs, n) and b (outputs,).
        matrix: S (m, n).
        moments: of the inputs x.

    Returns:
        B (outputs, m) and c (outputs,), float32: B = W C S^T (S C S^T)^-1 where C is the inputs'
        covariance, and c such that the mean comes out right.
    """
    w, s, covariance = weight.double(), matrix.double(), moments.covariance
    projected = s @ covariance @ s.T  # (m, m)
    # Directions that the inputs hardly take must not decide.
    projected += _RIDGE * projected.diagonal().mean() * torch.eye(len(s), dtype=torch.float64)
    fitted = torch.linalg.solve(projected, s @ covariance @ w.T).T
    shift = (w - fitted @ s) @ moments.mean
    return fitted.float().contiguous(), (bias.double() + shift).float()


def moments_from(
    start: StageInput, ratios: Collection[str], data: Path, n_windows: int, *, seed: int
) -> dict[str, InputMoments]:
    """The inputs' moments of each map to sketch, over windows drawn from a SQuAD file."""
    model, tokenizer = model_from_checkpoint(start.checkpoint), Tokenizer(start.spec)
    settings = ReaderSettings().within(start.checkpoint.config.max_position_embeddings)
    features = make_features(spread(load_squad(data), n_windows), tokenizer, settings)
    groups = alone(features[:n_windows])
    batches = epoch_batches(groups, batch_size=_BATCH_SIZE, seed=seed, epoch=0)
    layers = range(start.checkpoint.config.num_layer_groups)
    names = [f"layers.{layer}.{name}" for layer in layers for name in ratios]

    def laid_out(progress: Progress) -> Iterator[TrainingBatch]:
        for number, batch in enumerate(batches, start=1):
            yield from group_passes(batch, _PASS_TOKENS, tokenizer)
            progress(number, len(batches))

    with progress_bar("Fitting") as progress:
        return input_moments(model, names, laid_out(progress))


def _sketch_dim(checkpoint: Checkpoint, name: str, ratio: Fraction) -> int:
    config = checkpoint.config
    if name not in config.linear_shapes:
        expected = ", ".join(config.linear_shapes)
        raise CheckpointError(f"sketch: found {name!r}, expected one of {expected}")
    if name in config.sketch_dims:
        raise CheckpointError(f"sketch: {name} is sketched already, expected a plain linear map")
    if not 0 < ratio <= 1:
        raise CheckpointError(f"sketch: {name}: found ratio {ratio}, expected above 0, at most 1")
    inputs, _ = config.linear_shapes[name]
    return max(1, round(ratio * inputs))


class _RatioType(click.ParamType[tuple[str, Fraction]]):
    # NAME=RATIO, the ratio as 1/3 or 0.25.
    name = "name=ratio"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Fraction]:
        linear, _, ratio = value.partition("=")
        try:
            return linear, Fraction(ratio)
        except (ValueError, ZeroDivisionError):
            self.fail(f"found {value!r}, expected such as attention.query=1/3", param, ctx)


@click.command()
@checkpoint_argument
@output_argument
@click.option(
    "--ratio",
    "ratios",
    type=_RatioType(),
    multiple=True,
    help="A linear map and its sketch's length over its inputs; may be repeated.  "
    "[default: the paper's: 1/3 for the four of attention, 1/6 for feed_forward.output]",
)
@click.option(
    "--fit", "data", type=existing_file, help="Fit the weights to what the model reads here: SQuAD."
)
@click.option(
    "--windows", type=click.IntRange(min=1), default=512, show_default=True, help="To fit to."
)
@seed_option
def main(
    checkpoint: Path,
    output: Path,
    ratios: tuple[tuple[str, Fraction], ...],
    data: Path | None,
    windows: int,
    seed: int,
) -> None:
    """
    Sketch linear maps of the model in CHECKPOINT and write it to OUTPUT.

    \b
    Example:
      python -m tools.sketch shared-3 sketched --ratio feed_forward.output=1/6
    """
    start = load_input(checkpoint)
    chosen = dict(ratios) or PAPER_RATIOS
    moments = None
    if data is not None:
        moments = moments_from(start, chosen, data, windows, seed=seed)
    sketched, seeds = sketch(start.checkpoint, chosen, seed=seed, moments=moments)
    stage = {
        "stage": "sketch",
        "ratios": {name: str(ratio) for name, ratio in chosen.items()},
        "fitted": None if data is None else {"data": digest_of(data), "windows": windows},
        "seed": seed,
    }
    with write_output(output, sketched, stage, source=start.folder) as folder:
        old_seeds = load_sketch_seeds(start.folder)
        write_json(folder / SKETCH_SEEDS_FILE, {**old_seeds, **seeds})
    before, after = start.checkpoint.config.num_parameters, sketched.config.num_parameters
    click.echo(f"{output}: {before:,} values -> {after:,}")


if __name__ == "__main__":
    run(main)
