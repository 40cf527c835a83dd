"""
Random sketching: linear maps become (W S^T)(S x), S a matrix of random signs.

    python -m tools.sketch CHECKPOINT OUTPUT

The signs are those that a .sqz file's "rademacher" codec makes of a seed, so that a file may hold
the seed in their place: the seed of every sketch is in the output's sketch_seeds.json.

Source: Deng & Looi 2020, section 3.6.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import torch

from squadlite.container import Rademacher
from squadlite.convert import SKETCH_SEEDS_FILE, load_sketch_seeds
from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint, tensor_shapes
from tools.command import checkpoint_argument, output_argument, run
from tools.folders import load_input, write_json, write_output

# The paper's: 768 -> 256 in attention, 3072 -> 512 in the feed-forward output.
PAPER_RATIOS: Mapping[str, Fraction] = {
    **dict.fromkeys(
        (f"attention.{part}" for part in ("query", "key", "value", "output")), Fraction(1, 3)
    ),
    "feed_forward.output": Fraction(1, 6),
}


def sketch(
    checkpoint: Checkpoint, ratios: Mapping[str, Fraction], *, seed: int
) -> tuple[Checkpoint, dict[str, int]]:
    """
    Replace linear maps of every layer by sketched ones.

    Args:
        checkpoint: a model of which none of these maps is sketched yet.
        ratios: name of a linear map in a layer -> length of a sketch over the map's inputs, above
            0 and at most 1; rounded, and no shorter than 1.
        seed: the first sketch's; each sketch has one of its own, counted up from it.

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
        signs = torch.from_numpy(Rademacher(seeds[name]).decode(b"", shapes[name]))
        tensors[name] = signs
        tensors[f"{module}.sketched_weight"] = tensors.pop(f"{module}.weight") @ signs.T
    return Checkpoint(config, {name: tensors[name] for name in shapes}), seeds


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
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def main(
    checkpoint: Path, output: Path, ratios: tuple[tuple[str, Fraction], ...], seed: int
) -> None:
    """
    Sketch linear maps of the model in CHECKPOINT and write it to OUTPUT.

    \b
    Example:
      python -m tools.sketch shared-3 sketched --ratio feed_forward.output=1/6
    """
    start = load_input(checkpoint)
    chosen = dict(ratios) or PAPER_RATIOS
    sketched, seeds = sketch(start.checkpoint, chosen, seed=seed)
    stage = {
        "stage": "sketch",
        "ratios": {name: str(ratio) for name, ratio in chosen.items()},
        "seed": seed,
    }
    with write_output(output, sketched, stage, source=start.folder) as folder:
        old_seeds = load_sketch_seeds(start.folder)
        write_json(folder / SKETCH_SEEDS_FILE, {**old_seeds, **seeds})
    before, after = start.checkpoint.config.num_parameters, sketched.config.num_parameters
    click.echo(f"{output}: {before:,} values -> {after:,}")


if __name__ == "__main__":
    run(main)
