"""
Every family that `squadlite convert` takes, held to transformers: logits, tokens, and back again.

    python -m benchmarks.families ../shared/data/cs224n-dev-v2.0.json \\
        ../shared/checkpoints/minilm-l6-squad2 ../shared/checkpoints/mpnet-squad2-teacher

A row for a small random model of each family, with a tokenizer trained on the spot, in a folder as
transformers saves it, and a row for each real CHECKPOINT. Columns:

- model, family, tokenizer: as the conversion tells them;
- logits: the largest difference of our torch model's to transformers', over the windows of 32
  questions;
- 8-bit spans %: questions whose best span is the same by the 8-bit kernels as in float32;
- tokens %: of 10,000 lines of hard text (emoji, combining marks, CJK, control characters, white
  space of all kinds), those of which the .sqz file's tokenizer and transformers make the same ids;
- folder MB, file MB: weights and tokenizer as transformers saves them, and the .sqz file at 10 bits
  a tensor;
- back: logits, back: tokens %: the file written as a folder again and read by transformers, held
  to the file read by us.

The library trains a tokenizer a little differently each time, so that the small models' spans vary
by some percent from run to run.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.example_folders import EXAMPLES
from benchmarks.example_tokenizers import hard_lines
from benchmarks.tables import percent, print_rows
from squadlite.answering.evaluate import spread
from squadlite.answering.reader import Reader, ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import Batch, pad_batch
from squadlite.bench.peers.weights import save_for_transformers
from squadlite.bench.system import size_of
from squadlite.cli.output import print_json, progress_bar
from squadlite.convert import convert
from squadlite.errors import ComputeError
from squadlite.model import QuestionAnsweringModel, load_model
from tools.command import existing_file, existing_folder, run

NUM_LINES = 10_000
PARITY_QUESTIONS = 32


@dataclass(frozen=True)
class Material:
    """What every model is held to transformers with."""

    examples: Sequence[SquadExample]
    lines: Sequence[str]

    @classmethod
    def load(cls, questions: Path, *, limit: int) -> "Material":
        """Questions of a SQuAD file, spread over it, and lines of hard text."""
        return cls(spread(load_squad(questions), limit), hard_lines(NUM_LINES, seed=21))


def measure(name: str, folder: Path, material: Material) -> dict[str, Any]:
    """A row of the table: a checkpoint folder as it is, as a file, and as a folder again."""
    with tempfile.TemporaryDirectory() as scratch:
        file, back = Path(scratch) / "model.sqz", Path(scratch) / "back"
        report = convert(folder, file, bits=10)
        save_for_transformers(file, back)
        ours = Tokenizer(TokenizerSpec.load(file))
        batches = list(
            _batches(ours, material.examples, report.found.config.max_position_embeddings)
        )
        return {
            "model": name,
            "family": report.found.family,
            "tokenizer": ours.spec.type_name,
            "logits": _difference(load_model(folder), folder, batches),
            "8-bit spans %": _same_spans(file, material.examples),
            "tokens %": _same_tokens(ours, folder, material.lines),
            "folder MB": round(size_of(folder) / 1e6, 2),
            "file MB": round(report.n_bytes / 1e6, 2),
            "back: logits": _difference(load_model(file), back, batches),
            "back: tokens %": _same_tokens(ours, back, material.lines),
        }


def _batches(
    tokenizer: Tokenizer, examples: Sequence[SquadExample], positions: int
) -> Iterator[Batch]:
    settings = ReaderSettings().within(positions)
    for number, example in enumerate(spread(examples, PARITY_QUESTIONS)):
        question, context = tokenizer.encode_ids([example.question, example.context])
        yield pad_batch(list(settings.windows(number, question, context, tokenizer.template)))


def _difference(ours: QuestionAnsweringModel, folder: Path, batches: Sequence[Batch]) -> float:
    # The largest of all logits' that aren't padding's.
    import torch  # noqa: PLC0415 (the table's headings cost no second)
    import transformers  # noqa: PLC0415

    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=torch.float32
    ).eval()
    differences = []
    with torch.inference_mode():
        for batch in batches:
            ids, types, mask = (
                torch.from_numpy(part)
                for part in (batch.input_ids, batch.token_type_ids, batch.attention_mask)
            )
            inputs = {"input_ids": ids, "attention_mask": mask.long()}
            if ours.config.type_vocab_size:
                inputs["token_type_ids"] = types
            output = theirs(**inputs)
            expected = torch.stack([output.start_logits, output.end_logits])
            found = torch.stack(ours(ids, types, mask))
            differences.append(float((found - expected)[:, mask].abs().max()))
    return float(f"{np.max(differences):.1e}")


def _same_spans(file: Path, examples: Sequence[SquadExample]) -> float | None:
    pairs = [(example.question, example.context) for example in examples]
    try:
        approximate = Reader.load(file, compute="int8", threads=1)
    except ComputeError:
        return None
    exact = Reader.load(file, compute="f32", threads=1)
    found, expected = (
        [
            [(span.start, span.end) for span in reading.spans]
            for reading in reader.read_pairs(pairs, n_best=1)
        ]
        for reader in (approximate, exact)
    )
    return percent((one == other for one, other in zip(found, expected, strict=True)), 2)


def _same_tokens(ours: Tokenizer, folder: Path, lines: Sequence[str]) -> float | None:
    import transformers  # noqa: PLC0415

    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    expected = theirs(list(lines), add_special_tokens=False)["input_ids"]
    found = (ids.tolist() for ids in ours.encode_ids(lines))
    return percent((one == other for one, other in zip(found, expected, strict=True)), 2)


@click.command()
@click.argument("questions", type=existing_file)
@click.argument("checkpoints", nargs=-1, type=existing_folder)
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
def main(questions: Path, checkpoints: tuple[Path, ...], limit: int) -> None:
    """Hold the families' examples and CHECKPOINTS to transformers on QUESTIONS, a SQuAD file."""
    import transformers  # noqa: PLC0415

    logging: Any = transformers.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    material = Material.load(questions, limit=limit)
    rows: list[dict[str, Any]] = []
    with progress_bar("Measuring") as progress, tempfile.TemporaryDirectory() as scratch:
        for name, example in EXAMPLES.items():
            progress(len(rows), len(EXAMPLES) + len(checkpoints))
            folder = Path(scratch) / name
            example.save(folder)
            rows.append(measure("random", folder, material))
        for checkpoint in checkpoints:
            progress(len(rows), len(EXAMPLES) + len(checkpoints))
            rows.append(measure(checkpoint.resolve().name, checkpoint, material))
    print_rows(rows)
    print_json({"benchmark": "families", "questions": questions.name, "rows": rows})


if __name__ == "__main__":
    run(main)
