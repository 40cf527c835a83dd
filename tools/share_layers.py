"""
Cross-layer sharing: neighbouring stored layers become one, and as many layers run as before.

    python -m tools.share_layers CHECKPOINT OUTPUT --groups 6

A schedule such as 12 -> 6 -> 3 -> 2 -> 1 is one call a step, with fine-tuning in between.

Source: Deng & Looi 2020, section 3.2.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import click
import torch

from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint
from tools.command import checkpoint_argument, output_argument, run
from tools.folders import load_input, write_output

Keep = Literal["upper", "lower", "mean"]


def share_layers(checkpoint: Checkpoint, groups: int, keep: Keep = "upper") -> Checkpoint:
    """
    Merge neighbouring stored layers, evenly, until `groups` are left.

    Where the number doesn't divide, the upper groups are the larger ones: of three layers that
    become two, the lowest stays alone.

    Args:
        checkpoint: a model without sketches, perhaps with shared layers already.
        groups: layers to store, at most as many as are stored now.
        keep: whose parameters a group takes: those of its upper layer, as in the paper, those of
            its lower one, or the mean of all.

    Returns:
        A model that executes the same number of layers.

    Raises:
        CheckpointError: fewer than 1 group or more than there are layers, or sketched layers,
            which lost with their sketches what they have in common.
    """
    config = checkpoint.config
    stored = config.num_layer_groups
    if not 1 <= groups <= stored:
        raise CheckpointError(f"groups: found {groups}, expected 1 to {stored}, the layers stored")
    if config.sketch_dims:
        raise CheckpointError("found sketched layers, expected plain ones: sketch after sharing")
    bounds = [group * stored // groups for group in range(groups + 1)]
    members = [range(bounds[group], bounds[group + 1]) for group in range(groups)]
    group_of = {layer: group for group, layers in enumerate(members) for layer in layers}

    tensors = {}
    for name, tensor in checkpoint.tensors.items():
        if not name.startswith("layers."):
            tensors[name] = tensor
            continue
        _, layer, rest = name.split(".", 2)
        layers = members[group_of[int(layer)]]
        if int(layer) == layers[0]:  # each group once, where its first layer stood
            alike = [checkpoint.tensors[f"layers.{member}.{rest}"] for member in layers]
            tensors[f"layers.{group_of[int(layer)]}.{rest}"] = _merge(alike, keep)
    layer_map = tuple(group_of[layer] for layer in config.layer_map)
    return Checkpoint(replace(config, layer_map=layer_map), tensors)


def _merge(tensors: list[torch.Tensor], keep: Keep) -> torch.Tensor:
    if keep == "mean":
        return torch.stack(tensors).mean(dim=0)
    return tensors[-1 if keep == "upper" else 0].clone()


@click.command()
@checkpoint_argument
@output_argument
@click.option("--groups", type=int, required=True, help="Layers to store.")
@click.option(
    "--keep",
    type=click.Choice(get_args(Keep)),
    default="upper",
    show_default=True,
    help="Whose parameters a group of layers takes.",
)
def main(checkpoint: Path, output: Path, groups: int, keep: Keep) -> None:
    """
    Share layers of the model in CHECKPOINT and write it to OUTPUT.

    \b
    Example:
      python -m tools.share_layers tuned shared-6 --groups 6
    """
    start = load_input(checkpoint)
    shared = share_layers(start.checkpoint, groups, keep)
    stage = {"stage": "share_layers", "groups": groups, "keep": keep}
    with write_output(output, shared, stage, source=start.folder):
        pass
    click.echo(f"{output}: layers {' '.join(map(str, shared.config.layer_map))}")


if __name__ == "__main__":
    run(main)
