"""
The paper's tables 1 to 5 for any base model, by building every model and writing its .sqz file.

    python -m tools.tables --base bert-base --report build/bert-base-paper/report.json
    python -m tools.tables --base mpnet-base --report build/paper-mpnet/report.json

Random weights serve for sizes; scores come from the reports of recipes that evaluated the stages.

The paper counts BERT's pooler, a (hidden, hidden) matrix and its bias that answering never uses and
our files don't hold: "with pooler" is the size of the model's tensors and of one more linear map.
The file itself also has a header and the word pieces.

Source: Deng & Looi 2020, section 4.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from squadlite.answering.tokenizer_spec import WordPieceSpec
from squadlite.cli.output import print_json, print_table
from squadlite.container import Codec, Linear, Rademacher, Raw, open_sqz, write_sqz
from squadlite.errors import CheckpointError
from squadlite.families import model_type_of
from squadlite.model import Checkpoint, ModelConfig, load_checkpoint
from squadlite.source import keep_rows
from tools.command import existing_file, run
from tools.paper import BASES, PAPER_BASE, Row, Variant, rows
from tools.random_model import SPECIAL_PIECES, random_checkpoint
from tools.share_layers import share_layers
from tools.sketch import PAPER_RATIOS, sketch


@dataclass(frozen=True)
class Measured:
    """
    What a variant of a model takes.

    Args:
        num_parameters: values that the model stores, without a pooler.
        pooler_parameters: values that a pooler would add.
        file_bytes: of the whole .sqz file.
        tensor_bytes: of the model's tensors in it.
        sign_bytes: of those, the signs of sketches.
        pooler_bytes: that a pooler would add, stored like the other matrices.
    """

    num_parameters: int
    pooler_parameters: int
    file_bytes: int
    tensor_bytes: int
    sign_bytes: int
    pooler_bytes: int

    @property
    def with_pooler(self) -> int:
        """Bytes of the model's tensors and a pooler: what the paper counts."""
        return self.tensor_bytes + self.pooler_bytes


def measure(base: ModelConfig, variant: Variant) -> Measured:
    """
    Build a variant of a base model with random weights, and write it.

    Args:
        base: the model that the paper would begin with.
        variant: what is done to it.
    """
    checkpoint = build(base, variant)
    config = checkpoint.config
    codec = Raw("f32") if variant.bits is None else Linear(variant.bits)
    spec = _any_tokenizer(config.vocab_size)
    codecs: dict[str, Codec] = {
        name: Rademacher() if name.endswith(".sketch") else codec for name in checkpoint.tensors
    }
    pieces = {name: (values, Raw("u8")) for name, values in spec.to_tensors().items()}
    tensors = {name: (t.numpy(), codecs[name]) for name, t in checkpoint.tensors.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.sqz"
        write_sqz(
            path,
            model=config.to_dict(),
            tokenizer=spec.to_header(),
            metadata={},
            tensors=((name, *item) for name, item in {**tensors, **pieces}.items()),
            needed=config.version,
        )
        with open_sqz(path) as file:
            sizes = {name: info.n_bytes for name, info in file.tensors.items()}
        file_bytes = path.stat().st_size
    # DistilBERT alone never had a pooler.
    hidden = config.hidden_size if model_type_of(config) != "distilbert" else 0
    return Measured(
        num_parameters=config.num_parameters,
        pooler_parameters=hidden * hidden + hidden,
        file_bytes=file_bytes,
        tensor_bytes=sum(sizes[name] for name in tensors),
        sign_bytes=sum(sizes[name] for name in tensors if name.endswith(".sketch")),
        pooler_bytes=codec.n_bytes((hidden, hidden)) + codec.n_bytes((hidden,)),
    )


def build(base: ModelConfig, variant: Variant) -> Checkpoint:
    """Make a variant of a base model, with random weights, by the stages that a recipe runs."""
    if variant.distilbert:
        num_layers = base.num_layers // 2
        base = replace(
            base,
            num_layers=num_layers,
            layer_map=tuple(range(num_layers)),
            type_vocab_size=0,
            relative_position_buckets=None,
        )
    checkpoint = random_checkpoint(base, seed=0)
    if variant.groups is not None:
        checkpoint = share_layers(checkpoint, variant.groups)
    if variant.vocab_size is not None:
        checkpoint = keep_rows(checkpoint, list(range(variant.vocab_size)))
    if variant.sketched:
        checkpoint, _ = sketch(checkpoint, PAPER_RATIOS, seed=0)
    return checkpoint


def differences(base: ModelConfig) -> dict[str, list[Any]]:
    """
    Tell where a base model isn't shaped as the paper's.

    Returns:
        Field of the configuration -> its value in `base`, and that in BERT-base.
    """
    ours, papers = base.to_dict(), BASES[PAPER_BASE].to_dict()
    return {
        name: [ours.get(name), papers.get(name)]
        for name in ours | papers
        if ours.get(name) != papers.get(name)
    }


def load_scores(reports: Sequence[Path]) -> dict[str, dict[str, float]]:
    """
    Read the scores of recipes' stages.

    Args:
        reports: report.json files; of stages of one name the last counts.

    Returns:
        Stage -> its scores.

    Raises:
        CheckpointError: a file that is no report.
    """
    scores: dict[str, dict[str, float]] = {}
    for path in reports:
        try:
            for stage in json.loads(path.read_bytes())["stages"]:
                if stage["scores"] is not None:
                    scores[stage["name"]] = _read_scores(stage["scores"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: found no report of a recipe ({error!r:.80})") from error
    return scores


def _read_scores(found: dict[str, Any]) -> dict[str, float]:
    scores = {name: float(value) for name, value in found.items()}
    if missing := {"f1", "exact", "total"} - scores.keys():
        raise KeyError(min(missing))
    return scores


def _any_tokenizer(vocab_size: int) -> WordPieceSpec:
    # Pieces of six characters, about as long as BERT's are on average.
    others = (f"{number:06d}" for number in range(vocab_size - len(SPECIAL_PIECES)))
    return WordPieceSpec(vocab=(*SPECIAL_PIECES, *others))


def _find_base(name: str) -> ModelConfig:
    if name in BASES:
        return BASES[name]
    if Path(name).is_dir():
        return load_checkpoint(name).config
    raise click.UsageError(f"--base {name}: expected a folder or one of {', '.join(BASES)}")


def _tell_row(row: Row, measured: Measured, scores: dict[str, float] | None) -> list[str]:
    size = measured.with_pooler / 1e6
    paper = row.paper
    return [
        row.name,
        f"{(measured.num_parameters + measured.pooler_parameters) / 1e6:.1f}M",
        f"{measured.num_parameters / 1e6:.1f}M",
        f"{measured.file_bytes / 1e6:.1f}",
        f"{size:.1f}",
        f"{paper.megabytes}" if paper else "",
        f"{size / paper.megabytes - 1:+.1%}" if paper else "",
        f"{scores['f1']:.1f}/{scores['exact']:.1f}" if scores else "",
        f"{scores['total']:.0f}" if scores else "",
        f"{paper.f1}/{paper.exact}" if paper else "",
    ]


def _tell_base(base: str, config: ModelConfig) -> None:
    found = differences(config)
    if found:
        told = ", ".join(f"{name} {ours} ({papers})" for name, (ours, papers) in found.items())
        click.echo(f"{base}, beside {PAPER_BASE} (in brackets): {told}")


_HEADINGS = (
    *("Model", "Params, pooler", "Params", "File MB", "With pooler MB", "Paper MB", "Off"),
    *("F1/EM", "Questions", "Paper F1/EM"),
)


def _tell_counts(chosen: Sequence[Row], measured: dict[Variant, Measured]) -> None:
    # Four ways to count a sketched model: its signs may be a seed, its pooler isn't used.
    click.echo("\nSketched models in MB, counted with and without signs and pooler")
    cells = []
    for row in chosen:
        of = measured[row.variant]
        bare = of.tensor_bytes - of.sign_bytes
        ways = (bare, bare + of.pooler_bytes, of.tensor_bytes, of.with_pooler)
        paper = f"{row.paper.megabytes}" if row.paper else ""
        cells.append([row.name, *(f"{way / 1e6:.2f}" for way in ways), paper])
    print_table(("Model", "Neither", "Pooler", "Signs", "Both", "Paper"), cells)
    if len(chosen) == 2 and all(row.paper for row in chosen):
        full, reduced = (measured[row.variant].tensor_bytes for row in chosen)
        of_paper = [row.paper.megabytes for row in chosen if row.paper]
        click.echo(
            f"However counted, they differ in {(full - reduced) / 1e6:.2f} MB of word embeddings; "
            f"the paper's sizes differ in {of_paper[0] - of_paper[1]} MB: no one count meets both."
        )


@click.command()
@click.option("--base", default="bert-base", show_default=True, help="A name or a folder.")
@click.option(
    "--report",
    "reports",
    type=existing_file,
    multiple=True,
    help="report.json of a recipe whose stages were evaluated; may be repeated.",
)
@click.option("--table", "tables", type=click.IntRange(1, 5), multiple=True, help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def main(base: str, reports: tuple[Path, ...], tables: tuple[int, ...], as_json: bool) -> None:
    """
    Print the paper's tables 1 to 5, sizes measured on real .sqz files of random weights.

    \b
    Example:
      python -m tools.tables --base bert-base --table 4
    """
    config, scores = _find_base(base), load_scores(reports)
    chosen = [row for row in rows(base, config) if not tables or row.table in tables]
    measured: dict[Variant, Measured] = {}
    for row in chosen:
        if row.variant not in measured:
            measured[row.variant] = measure(config, row.variant)
    if as_json:
        print_json(
            {
                "base": base,
                "differences": differences(config),
                "rows": [_row_json(row, measured, scores) for row in chosen],
            }
        )
        return
    _tell_base(base, config)
    for table in sorted({row.table for row in chosen}):
        click.echo(f"\nTable {table}")
        of_table = [row for row in chosen if row.table == table]
        cells = [_tell_row(row, measured[row.variant], scores.get(row.stage)) for row in of_table]
        print_table(_HEADINGS, cells)
    sketched = [row for row in chosen if row.variant.sketched]
    if sketched:
        _tell_counts(sketched, measured)


def _row_json(
    row: Row, measured: dict[Variant, Measured], scores: dict[str, dict[str, float]]
) -> dict[str, Any]:
    return {
        **asdict(row),
        **asdict(measured[row.variant]),
        "with_pooler": measured[row.variant].with_pooler,
        "scores": scores.get(row.stage),
    }


if __name__ == "__main__":
    run(main)
