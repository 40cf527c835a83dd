"""`squadlite convert`, `inspect` and `verify`: .sqz files made and looked at."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from squadlite.cli.output import (
    FiniteRange,
    existing_file,
    existing_path,
    format_bytes,
    json_option,
    output_file,
    parse_bytes,
    print_json,
    print_table,
    progress_bar,
    require_folder,
)

if TYPE_CHECKING:
    from squadlite.container import TensorInfo
    from squadlite.convert import ConversionReport, Found


@click.command()
@click.argument("checkpoint", type=existing_path)
@click.option("-o", "--output", type=output_file, required=True, help="The .sqz file to write.")
@click.option(
    "--bits",
    type=FiniteRange(min=0, min_open=True, max=16),
    help="Bits of a quantized value, with --calibration on average.  [default: 10]",
)
@click.option(
    "--per",
    type=click.Choice(["tensor", "row", "group"]),
    default="tensor",
    show_default=True,
    help="What shares one range of values: a tensor (as in the paper), a row, or a group.",
)
@click.option(
    "--group-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Values in a group, with --per group.",
)
@click.option(
    "--calibration",
    type=existing_file,
    multiple=True,
    help="A SQuAD file like those that the model was trained on, whose answers are not looked at; "
    "may be given several times. Each matrix is rounded with regard to what it is fed, and as "
    "finely as the model's answers ask for.",
)
@click.option(
    "--target-size",
    type=parse_bytes,
    metavar="SIZE",
    help="How large the file may be, such as 8MB, instead of --bits; needs --calibration.",
)
@click.option(
    "--like",
    type=existing_file,
    help="A .sqz file of the same shape: quantize each tensor as it is there, instead of --bits.",
)
@click.option(
    "--vocab-size",
    type=click.IntRange(min=1),
    help="Prune the vocabulary to this many word pieces; needs --vocab-corpus.",
)
@click.option(
    "--vocab-corpus",
    type=existing_file,
    help="Text, or a SQuAD file, whose most frequent word pieces stay.",
)
@click.option(
    "--format",
    "format_version",
    type=click.Choice(["1", "2"]),
    default="2",
    show_default=True,
    help="Version of the .sqz format: 2 is smaller, 1 is read by older squadlites too.",
)
@click.option(
    "--metadata",
    type=existing_file,
    help="A JSON object to keep in the file: name, licence, provenance, scores.",
)
@json_option
def convert(
    checkpoint: Path,
    output: Path,
    bits: float | None,
    per: str,
    group_size: int,
    calibration: tuple[Path, ...],
    target_size: int | None,
    like: Path | None,
    vocab_size: int | None,
    vocab_corpus: Path | None,
    format_version: str,
    metadata: Path | None,
    as_json: bool,
) -> None:
    """
    Convert the trained model in CHECKPOINT to a .sqz file.

    CHECKPOINT is a Hugging Face folder of a question-answering model. What a squadlite.json there
    says of the model's use (format_spec.md) goes into the file's metadata. It may also be a .sqz
    file, whose values are rounded anew. What was found is said first: compare it with what you
    expect.

    Families: BERT, DistilBERT, RoBERTa, MPNet, ELECTRA, ALBERT.

    With --calibration the table says what rounding costs: KL is how far the model's distributions
    of start and end move, in nats a window of that text, and each part's share of it.

    \b
    Examples:
      squadlite convert checkpoint -o model.sqz --bits 10
      squadlite convert checkpoint -o small.sqz --bits 5 --per group \\
          --vocab-size 15000 --vocab-corpus corpus.txt
      squadlite convert checkpoint -o best.sqz --target-size 8MB --calibration train.json
    """
    if (vocab_size is None) != (vocab_corpus is None):
        raise click.UsageError("--vocab-size and --vocab-corpus go together.")
    if like is not None and (bits or calibration or target_size or vocab_size):
        raise click.UsageError(
            "--like stands for --bits, --calibration, --target-size and --vocab-size."
        )
    _check_budget(bits, calibration, target_size, format_version)
    require_folder(output)

    from squadlite.convert import convert as convert_checkpoint

    with progress_bar("Converting") as progress:
        report = convert_checkpoint(
            checkpoint,
            output,
            bits=bits,
            per=per,
            group_size=group_size,
            target_size=target_size,
            calibration=calibration or None,
            like=like,
            vocab_size=vocab_size,
            vocab_corpus=vocab_corpus,
            format_version=int(format_version),
            metadata=_load_metadata(metadata) if metadata is not None else None,
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "file": str(output),
                "n_bytes": report.n_bytes,
                "num_values": report.num_values,
                "found": _found_json(report.found),
                "parts": [asdict(part) for part in report.parts],
                "divergence": report.divergence,
                "divergences": dict(report.divergences),
                "metadata": report.metadata,
            }
        )
        return
    print_table(["Found", ""], _found_rows(report.found))
    click.echo()
    headings, rows = _cost_table(report)
    print_table(headings, rows)
    if report.divergence is not None:
        click.echo(f"\nKL {report.divergence:.4f} nats a window of the calibration text.")
    click.echo(f"\nWrote {output}, {format_bytes(report.n_bytes)}.")


def _check_budget(
    bits: float | None, calibration: tuple[Path, ...], target_size: int | None, format_version: str
) -> None:
    if not calibration:
        if target_size is not None:
            raise click.UsageError("--target-size needs --calibration.")
        if bits is not None and bits != int(bits):
            raise click.UsageError("--bits must be a whole number without --calibration.")
        return
    if (bits is None) == (target_size is None):
        raise click.UsageError("--calibration needs one of --target-size and --bits.")
    if format_version == "1":
        raise click.UsageError("--calibration needs --format 2.")


def _found_json(found: "Found") -> dict[str, Any]:
    return {
        "family": found.family,
        "model": found.config.to_dict(),
        "tokenizer": found.spec.to_header() | {"vocab_size": len(found.spec.vocab)},
        "no_answer": found.spec.cls_token,
    }


def _found_rows(found: "Found") -> list[list[str]]:
    """What to look at first when a model answers strangely, a row each."""
    from squadlite.answering.windows import TEMPLATES

    config, spec = found.config, found.spec
    n_between, _ = TEMPLATES[spec.template]
    first, separator = spec.cls_token, spec.sep_token
    window = " ".join([first, "question", *[separator] * n_between, "context", separator])
    positions = f"{config.max_position_embeddings:,} positions"
    if config.relative_position_buckets is not None:
        positions += f", distances in {config.relative_position_buckets} buckets"
    return [
        ["family", found.family],
        [
            "layers",
            f"{config.num_layers} executed, {config.num_layer_groups} stored; "
            f"{config.hidden_size:,} wide, {config.num_heads} heads, "
            f"{config.intermediate_size:,} in the feed-forward block",
        ],
        [
            "embeddings",
            f"{config.embedding_width:,} wide; {positions}, {config.type_vocab_size} token types",
        ],
        ["tokenizer", f"{spec.type_name}, {len(spec.vocab):,} pieces"],
        ["window", window],
        ["no answer", f"start and end at {first}"],
    ]


def _cost_table(report: "ConversionReport") -> tuple[list[str], list[list[str]]]:
    """Headings and rows: what each part costs, with calibration in divergence too."""
    headings = ["Part", "Values", "Bytes", "Share"]
    rows = [
        [name, f"{num_values:,}", f"{n_bytes:,}", f"{n_bytes / report.n_bytes:.1%}"]
        for name, num_values, n_bytes in (
            *((part.name, part.num_values, part.n_bytes) for part in report.parts),
            ("total", report.num_values, report.n_bytes),
        )
    ]
    if report.divergence is None:
        return headings, rows
    total = sum(report.divergences.values())
    for part, row in zip(report.parts, rows, strict=False):
        bits = f"{8 * part.n_bytes / part.num_values:.2f}" if part.num_values else "-"
        share = report.divergences.get(part.name, 0.0) / total if total else 0.0
        row += [bits, f"{share:.1%}"]
    rows[-1] += [f"{8 * report.n_bytes / report.num_values:.2f}", "100.0%"]
    return [*headings, "Bits a value", "KL"], rows


def _load_metadata(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--metadata {path}: {error}, expected JSON") from None
    if not isinstance(value, dict):
        raise click.UsageError(
            f"--metadata {path}: found {type(value).__name__}, expected an object"
        )
    return value


@click.command()
@click.argument("file", type=existing_file)
@click.option("--tensors", is_flag=True, help="List every tensor.")
@json_option
def inspect(file: Path, tensors: bool, as_json: bool) -> None:
    """
    Show what the .sqz FILE holds. Reads its header only.

    \b
    Example:
      squadlite inspect model.sqz --tensors
    """
    from squadlite.container import open_sqz

    with open_sqz(file) as sqz:
        summary: dict[str, Any] = {
            "file": str(file),
            "version": ".".join(map(str, sqz.version)),
            "n_bytes": file.stat().st_size,
            "num_values": sum(math.prod(info.shape) for info in sqz.tensors.values()),
            "model": sqz.model,
            "tokenizer": sqz.tokenizer,
            "metadata": sqz.metadata,
        }
        infos = list(sqz.tensors.values())
    if as_json:
        if tensors:
            summary["tensors"] = [info.to_header() for info in infos]
        print_json(summary)
        return
    click.echo(f"{file}: .sqz version {summary['version']}, {format_bytes(file.stat().st_size)}")
    for name in ("model", "tokenizer", "metadata"):
        click.secho(f"\n{name}", bold=True)
        for line in _describe(summary[name]):
            click.echo(f"  {line}")
    click.secho("\ntensors", bold=True)
    if tensors:
        rows = [
            [
                info.name,
                "x".join(map(str, info.shape)),
                _codec_name(info),
                f"{info.n_bytes:,}",
                f"{info.bits_per_value:.2f}",
            ]
            for info in infos
        ]
        print_table(["Name", "Shape", "Codec", "Bytes", "Bits a value"], rows)
    else:
        click.echo(f"  {len(infos)}, {summary['num_values']:,} values; --tensors lists them")


def _describe(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _describe(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {item if isinstance(item, str) else json.dumps(item)}"


def _codec_name(info: "TensorInfo") -> str:
    settings = info.codec.to_header()
    settings.pop("coded_bytes", None)  # they have a column of their own
    return " ".join([settings.pop("name"), *(f"{key}={value}" for key, value in settings.items())])


@click.command()
@click.argument("file", type=existing_file)
@json_option
def verify(file: Path, as_json: bool) -> None:
    """
    Check every digest of the .sqz FILE.

    The exit code is 1 where one doesn't match.

    \b
    Example:
      squadlite verify model.sqz
    """
    from squadlite.container import open_sqz

    with open_sqz(file) as sqz:
        sqz.verify()
        count = len(sqz.tensors)
    if as_json:
        print_json({"file": str(file), "tensors": count, "intact": True})
    else:
        click.echo(f"{file}: intact, {count} tensors, every digest matches")
