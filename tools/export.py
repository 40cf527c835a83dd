"""
A checkpoint folder becomes a .sqz file that knows the stages it came through.

    python -m tools.export CHECKPOINT OUTPUT.sqz --bits 10

`squadlite convert` writes the same tensors, without the stages.

Source: Deng & Looi 2020, section 3.5; `squadlite.convert`.
"""

from pathlib import Path
from typing import Any

import click

from squadlite.answering.metadata import load_facts
from squadlite.convert import convert
from tools.command import checkpoint_argument, existing_file, file_argument, run
from tools.folders import load_stages

# What a stage says of the machine's speed: without it the same work gives the same file.
_OF_THE_MACHINE = ("seconds", "tokens_per_second")


@click.command()
@checkpoint_argument
@file_argument
@click.option("--bits", type=click.IntRange(1, 16), help="Of a value.  [default: 10]")
@click.option(
    "--per", type=click.Choice(["tensor", "row", "group"]), default="tensor", show_default=True
)
@click.option("--group-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--target-size", type=int, help="Bytes that the file may take; needs --calibration.")
@click.option(
    "--calibration", type=existing_file, multiple=True, help="SQuAD file to choose steps by."
)
@click.option("--like", type=existing_file, help="A .sqz file to quantize as that one is.")
@click.option("--vocab-size", type=click.IntRange(min=1), help="Prune to so many word pieces.")
@click.option("--vocab-corpus", type=existing_file, help="Whose most frequent pieces stay.")
@click.option("--metadata", type=existing_file, help="JSON object to write into the metadata too.")
@click.option("--store-signs", is_flag=True, help="Store sketches as bits, not as their seeds.")
def main(
    checkpoint: Path,
    output: Path,
    metadata: Path | None,
    calibration: tuple[Path, ...],
    **settings: Any,
) -> None:
    """
    Convert CHECKPOINT to the .sqz file OUTPUT, its stages written into the metadata.

    \b
    Example:
      python -m tools.export sketched model.sqz --bits 10
    """
    if (settings["vocab_size"] is None) != (settings["vocab_corpus"] is None):
        raise click.UsageError("--vocab-size and --vocab-corpus go together.")
    if settings["target_size"] is not None and not calibration:
        raise click.UsageError("--target-size needs --calibration.")
    facts = load_facts(metadata) if metadata is not None else {}
    facts["stages"] = [
        {name: value for name, value in stage.items() if name not in _OF_THE_MACHINE}
        for stage in load_stages(checkpoint)
    ]
    report = convert(
        checkpoint, output, metadata=facts, calibration=calibration or None, **settings
    )
    click.echo(f"{output}: {report.n_bytes:,} bytes")


if __name__ == "__main__":
    run(main)
