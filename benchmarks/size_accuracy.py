"""
What each conversion setting costs in bytes and in SQuAD 2.0 scores: tables 3 and 4 of the paper.

    python -m benchmarks.size_accuracy build/trained.sqz \\
        --data ../shared/data/cs224n-dev-v2.0.json --corpus ../shared/data/train-mix-v2.0.json

Converts the checkpoint once for each setting, evaluates the file that came of it on all of the data
and keeps the row in --results, so that a run that was stopped goes on where it was. Rows of
another checkpoint, data set or compute type are measured again.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.kept_rows import digest, keep_rows
from squadlite.answering.evaluate import evaluate
from squadlite.answering.reader import Reader
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.cli.output import print_json, print_table, progress_bar, threads_option
from squadlite.config import COMPUTES, Compute
from squadlite.convert import convert
from squadlite.source import load_source
from tools.command import existing_file, existing_path, run
from tools.paper import VOCABULARIES

RESULTS = Path(__file__).with_name("results") / "size_accuracy.json"
GROUP_SIZE = 64

Per = Literal["tensor", "row", "group"]
OUR_GRANULARITIES: tuple[Per, ...] = ("row", "group")


@dataclass(frozen=True)
class Setting:
    """
    One row of the table.

    Attributes:
        bits: a value takes; None: the checkpoint itself.
        per: what has a range of its own.
        vocab_size: how many pieces are kept; None: all.
    """

    bits: int | None = None
    per: Per = "tensor"
    vocab_size: int | None = None

    @property
    def name(self) -> str:
        """As the table shows it."""
        if self.bits is None:
            return "checkpoint"
        pieces = "" if self.vocab_size is None else f", {self.vocab_size:,} word pieces"
        return f"{self.bits} bit per {self.per}{pieces}"


def settings(n_pieces: int) -> Iterator[Setting]:
    """
    Every setting measured, the paper's first.

    Args:
        n_pieces: of the checkpoint's vocabulary, which can only lose some.
    """
    yield Setting()
    for bits in (16, 10, 8, 6, 4):
        yield Setting(bits)
    pruned = [size for size in VOCABULARIES if size < n_pieces]
    for size in pruned:
        yield Setting(10, vocab_size=size)
    for per in OUR_GRANULARITIES:
        for bits in (8, 6, 5, 4):
            yield Setting(bits, per)
    for per in OUR_GRANULARITIES:
        for bits in (5, 4):
            yield from (Setting(bits, per, size) for size in pruned[:1])


@click.command()
@click.argument("checkpoint", type=existing_path)
@click.option("--data", type=existing_file, required=True)
@click.option("--corpus", type=existing_file, required=True)
@click.option("--compute", type=click.Choice(COMPUTES), default="auto", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS)
@threads_option
def main(
    checkpoint: Path,
    data: Path,
    corpus: Path,
    compute: Compute,
    results: Path,
    threads: int | None,
) -> None:
    """Measure every setting on CHECKPOINT that RESULTS doesn't hold yet."""
    inputs = {
        "checkpoint": digest(checkpoint),
        "data": digest(data),
        "corpus": digest(corpus),
        "compute": compute,
    }
    examples = load_squad(data)
    n_pieces = len(load_source(checkpoint).spec.vocab)
    by_name = {setting.name: setting for setting in settings(n_pieces)}
    rows = keep_rows(
        results,
        inputs,
        by_name,
        lambda name: _measure(by_name[name], checkpoint, corpus, examples, compute, threads),
    )
    _print_rows(rows)
    print_json({"benchmark": "size_accuracy", "inputs": inputs, "rows": rows})


def _measure(
    setting: Setting,
    checkpoint: Path,
    corpus: Path,
    examples: list[SquadExample],
    compute: Compute,
    threads: int | None,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, progress_bar(setting.name) as progress:
        if setting.bits is None:
            model, size = checkpoint, 4 * load_source(checkpoint).checkpoint.config.num_parameters
        else:
            model = Path(folder) / "model.sqz"
            size = _convert(checkpoint, model, corpus, setting, setting.bits)
        reader = Reader.load(model, threads=threads, compute=compute)
        result = evaluate(reader, examples, progress=progress)
    return {**asdict(setting), "bytes": size, **result.scores}


def _convert(checkpoint: Path, output: Path, corpus: Path, setting: Setting, bits: int) -> int:
    pruned: dict[str, Any] = {}
    if setting.vocab_size is not None:
        pruned = {"vocab_size": setting.vocab_size, "vocab_corpus": corpus}
    convert(
        checkpoint,
        output,
        bits=bits,
        per=setting.per,
        group_size=GROUP_SIZE,
        format_version=1,  # the paper's codes take what they take
        **pruned,
    )
    return output.stat().st_size


def _print_rows(rows: list[dict[str, Any]]) -> None:
    print_table(
        ["Setting", "MB", "EM", "F1", "HasAns F1", "NoAns F1"],
        [
            [
                row["name"],
                f"{row['bytes'] / 1e6:.2f}",
                *(f"{row[key]:.2f}" for key in ("exact", "f1", "HasAns_f1", "NoAns_f1")),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    run(main)
