"""`squadlite export`: a model for other programs."""

from pathlib import Path

import click

from squadlite.cli.output import (
    existing_file,
    format_bytes,
    json_option,
    output_file,
    print_json,
    progress_bar,
)


@click.command()
@click.argument("model", type=existing_file)
@click.option(
    "--onnx",
    "output",
    metavar="FILE",
    type=output_file,
    required=True,
    help="The file for ONNX Runtime to write; its name ends in .onnx.",
)
@json_option
def export(model: Path, output: Path, as_json: bool) -> None:
    """
    Write the MODEL of a .sqz file for other programs.

    Decoded to float32, FILE is for ONNX Runtime; beside it come tokenizer.json for the tokenizers
    library, and config.json. Give them a folder of their own. Needs onnx (pip install
    'squadlite[onnx]').

    The model takes input_ids, token_type_ids and attention_mask, each int64 of any batch and any
    length up to the model's own, and gives start_logits and end_logits. Its operators are those of
    ONNX's opset 20 and ONNX Runtime's own.

    \b
    Example:
      squadlite export model.sqz --onnx exported/model.onnx
    """
    from squadlite.export import SUFFIX, export_onnx

    if output.suffix != SUFFIX:
        raise click.UsageError(f"--onnx {output}: expected a name that ends in {SUFFIX}.")
    with progress_bar("Exporting") as progress:
        written = export_onnx(model, output, progress=progress)
    if as_json:
        print_json(
            {
                "onnx": str(written.model),
                "tokenizer": str(written.tokenizer),
                "config": str(written.config),
                "n_bytes": written.n_bytes,
                "opsets": written.opsets,
                "inputs": written.inputs,
                "outputs": written.outputs,
            }
        )
        return
    click.echo(
        f"Wrote {written.model}, {format_bytes(written.n_bytes)}, "
        f"and beside it {written.tokenizer.name} and {written.config.name}."
    )
