"""
A pre-trained encoder becomes a question-answering model: a span head of small random weights.

    python -m tools.add_span_head bert-base-uncased OUTPUT

Source: Devlin et al. 2018, section 4.2; Deng & Looi 2020, section 3.1.
"""

import shutil
import tempfile
from pathlib import Path

import click
import safetensors.torch
import torch

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.model import Checkpoint, load_checkpoint
from squadlite.model.checkpoint import CONFIG_FILE, find_family, load_config, read_weights
from tools.command import checkpoint_argument, output_argument, run, seed_option
from tools.folders import write_output

INITIAL_STD = 0.02

# What encoders were pre-trained with and answering has no use for.
_OTHER_HEADS = (
    "cls.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pooler.", "lm_head.",
    "discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "predictions.",
    "sop_classifier.",
)  # fmt: skip


def load_encoder(folder: Path, *, seed: int) -> Checkpoint:
    """
    Load a pre-trained model of any of our families and any head, with a new span head.

    Args:
        folder: in Hugging Face's layout, saved with or without "bert." or such before its names.
        seed: of the new head; its biases are zero.

    Raises:
        CheckpointError: the folder can't be loaded.
    """
    config = load_config(folder)
    prefix = find_family(folder).prefix
    tensors = {
        name if name.startswith(prefix) else prefix + name: tensor
        for name, tensor in read_weights(folder).items()
        if not name.startswith((*_OTHER_HEADS, "qa_outputs."))
    }
    generator = torch.Generator().manual_seed(seed)
    tensors["qa_outputs.weight"] = torch.empty(2, config.hidden_size).normal_(
        std=INITIAL_STD, generator=generator
    )
    tensors["qa_outputs.bias"] = torch.zeros(2)
    # From here on it is a checkpoint like any other, and checked like one.
    with tempfile.TemporaryDirectory() as whole:
        shutil.copyfile(folder / CONFIG_FILE, Path(whole) / CONFIG_FILE)
        # Some checkpoints have one tensor under two names, which a file can't hold.
        own = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(own, Path(whole) / "model.safetensors")
        return load_checkpoint(whole)


@click.command()
@checkpoint_argument
@output_argument
@seed_option
def main(checkpoint: Path, output: Path, seed: int) -> None:
    """
    Give the pre-trained encoder in CHECKPOINT a span head and write it to OUTPUT.

    \b
    Example:
      python -m tools.add_span_head bert-base-uncased start
    """
    TokenizerSpec.from_folder(checkpoint)  # found out now, not when training is to begin
    model = load_encoder(checkpoint, seed=seed)
    with write_output(output, model, {"stage": "add_span_head", "seed": seed}, source=checkpoint):
        pass
    click.echo(f"{output}: {model.config.num_parameters:,} values")


if __name__ == "__main__":
    run(main)
