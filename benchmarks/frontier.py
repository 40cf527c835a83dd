"""
The best scores for the bytes: size against SQuAD 2.0 and books, by technique.

    git show 085b062:squadlite/models/default.sqz > trained.sqz
    python -m benchmarks.frontier trained.sqz \\
        --data ../shared/data/cs224n-dev-v2.0.json \\
        --calibration ../shared/data/train-mix-v2.0.json \\
        --books ../shared/books --questions ../shared/data/book-questions \\
        --plot docs/frontier.png

(That is the default model as it was trained, before it was made smaller.)

One checkpoint, a folder or a .sqz file, is converted in many ways, and each file asked all
questions of --data and of --questions, in the 8 bits that `squadlite ask` computes in:

- "per tensor": the paper's linear codes, one range for a tensor;
- "per group": linear codes of groups of 64 values, as they are;
- "per group, coded": the same values, entropy-coded;
- "target": `squadlite convert --target-size`: a step for each tensor, chosen under the budget by
  what it does to the answers; codes rounded with feedback of their error, entropy-coded;
- "trained": the files of --also, which were trained at the weights they hold.

Every choice is made on --calibration, training data. Rows are kept in --results, so that a run that
was stopped goes on where it was.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from benchmarks.books import measure_folder
from benchmarks.kept_rows import digest, keep_rows
from squadlite.answering.evaluate import evaluate
from squadlite.answering.reader import Reader
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.asking import DEFAULT_PASSAGES
from squadlite.atomic import atomic_write
from squadlite.bench.plot import require_matplotlib, to_png
from squadlite.cli.output import output_file, print_json, print_table, progress_bar
from squadlite.convert import convert
from squadlite.quantization import MeasuredModel
from squadlite.source import Source, load_source
from tools.command import existing_file, existing_folder, existing_path, run
from tools.paper import BASES, PAPER_BASE
from tools.paper import rows as paper_rows
from tools.questions import Question, load_questions

RESULTS = Path(__file__).with_name("results") / "frontier.json"
TENSOR_BITS = (4, 6, 8)
GROUP_BITS = (3, 4)
TARGETS = (5.0, 7.0, 8.0, 8.5, 11.0)
SOURCE = "checkpoint"
TARGET = "target"
MB = 1_000_000
INCHES = (8.0, 5.5)


@dataclass(frozen=True)
class Point:
    """One way to make a file of the checkpoint."""

    technique: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None  # of a file that is there


def points(also: Sequence[Path]) -> Iterator[Point]:
    """All that are measured."""
    yield Point(SOURCE, "checkpoint, 32 bits a value")
    for megabytes in TARGETS:
        yield Point(TARGET, f"target {megabytes:g} MB", {"target_size": round(megabytes * MB)})
    for technique, version in (("per group, coded", 2), ("per group", 1)):
        for bits in GROUP_BITS:
            settings: dict[str, Any] = {"bits": bits, "per": "group", "format_version": version}
            yield Point(technique, f"{bits} bit {technique}", settings)
    for bits in TENSOR_BITS:
        settings = {"bits": bits, "format_version": 1}
        yield Point("per tensor", f"{bits} bit per tensor", settings)
    for path in also:
        yield Point("trained", f"trained, {path.stem}", path=path)


@dataclass(frozen=True)
class Scale:
    """
    What every point is measured by.

    Args:
        checkpoint: a folder or a .sqz file.
        examples: of the SQuAD data to score on.
        calibration: SQuAD files to choose codes by.
        books: the folder of NAME.epub; None: books aren't asked.
        asked: a book's NAME -> its questions.
    """

    checkpoint: Path
    examples: Sequence[SquadExample]
    calibration: Sequence[Path]
    books: Path | None
    asked: Mapping[str, Sequence[Question]]

    @cached_property
    def source(self) -> Source:
        """The checkpoint, loaded."""
        return load_source(self.checkpoint)

    @cached_property
    def calibrated(self) -> MeasuredModel:
        """The checkpoint, with what errors of its weights do to its answers."""
        with progress_bar("Calibrating") as progress:
            return MeasuredModel.measure(
                self.source.checkpoint, self.source.spec, self.calibration, progress=progress
            )

    def measure(self, point: Point) -> dict[str, Any]:
        """The row of a point."""
        with tempfile.TemporaryDirectory() as folder:
            path = self._make(point, Path(folder) / "model.sqz")
            reader = Reader.load(path, compute="auto")
            with progress_bar(point.name) as progress:
                scores = evaluate(reader, self.examples, progress=progress).scores
            row = {"technique": point.technique, "bytes": self._size(point, path), **scores}
            if self.books is not None:
                rows, _ = measure_folder(
                    self.books, self.asked, reader, DEFAULT_PASSAGES, lambda: None
                )
                row |= {"books_F1": rows[-1]["F1"], "books_F1_all": rows[-1]["F1 all"]}
            return row

    def _make(self, point: Point, path: Path) -> Path:
        if point.technique == SOURCE:
            return self.checkpoint
        if point.path is not None:
            return point.path
        calibration = self.calibrated if point.technique == TARGET else None
        with progress_bar(f"Converting, {point.name}") as progress:
            convert(
                self.checkpoint, path, **point.settings, calibration=calibration, progress=progress
            )
        return path

    def _size(self, point: Point, path: Path) -> int:
        if point.technique == SOURCE:
            return 4 * self.source.checkpoint.config.num_parameters
        return path.stat().st_size


def draw(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """
    Draw F1 against megabytes, a line for each technique, beside the paper's points.

    Args:
        rows: as measured.

    Returns:
        A PNG file.

    Raises:
        BenchError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=INCHES, layout="constrained")
    panel = figure.subplots()
    panel.set(
        title="SQuAD 2.0 answers for the bytes of a model file",
        xlabel="megabytes on disk",
        ylabel="F1, CS224N development set",
        xscale="log",
        xlim=(3, 130),
        ylim=(44, 74),
    )
    ticks = [4, 6, 8, 10, 16, 21, 35, 58, 112]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    others = [row for row in rows if row["technique"] != SOURCE]
    for technique, of_technique in groupby(others, key=lambda row: row["technique"]):
        measured = sorted((row["bytes"] / MB, row["f1"]) for row in of_technique)
        style = "*" if technique == "trained" else "o-"
        panel.plot(*zip(*measured, strict=True), style, markersize=5, label=technique)
    paper = {
        (row.paper.megabytes, row.paper.f1)
        for row in paper_rows(PAPER_BASE, BASES[PAPER_BASE])
        if row.paper is not None
    }
    panel.plot(
        *zip(*sorted(paper), strict=True), "x", color="0.4", label="Deng & Looi 2020, BERT-base"
    )
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, loc="lower right")
    return to_png(figure)


@click.command(help=__doc__)
@click.argument("checkpoint", type=existing_path)
@click.option("--data", type=existing_file, required=True, help="SQuAD 2.0 file to score on.")
@click.option(
    "--calibration",
    type=existing_file,
    required=True,
    multiple=True,
    help="Training data to choose by.",
)
@click.option("--books", type=existing_folder, help="Folder of NAME.epub.")
@click.option("--questions", type=existing_folder, help="Folder of NAME.jsonl: questions of books.")
@click.option("--also", type=existing_file, multiple=True, help="A trained .sqz file.")
@click.option("--plot", type=output_file, help="Draw the curves into this PNG.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS)
def main(
    checkpoint: Path,
    data: Path,
    calibration: tuple[Path, ...],
    books: Path | None,
    questions: Path | None,
    also: tuple[Path, ...],
    plot: Path | None,
    results: Path,
) -> None:
    """Measure every point that RESULTS doesn't hold yet, and print a table and a JSON line."""
    if plot is not None:
        require_matplotlib()
    if (books is None) != (questions is None):
        raise click.UsageError("--books and --questions go together.")
    inputs = {
        "checkpoint": digest(checkpoint),
        "data": digest(data),
        "calibration": [digest(path) for path in calibration],
        "books": questions is not None,
    }
    asked = load_questions(questions) if questions is not None else {}
    scale = Scale(checkpoint, load_squad(data), calibration, books, asked)
    by_name = {point.name: point for point in points(also)}
    rows = keep_rows(results, inputs, by_name, lambda name: scale.measure(by_name[name]))
    print_table(
        ["File", "MB", "EM", "F1", "F1, books"],
        [
            [
                row["name"],
                f"{row['bytes'] / MB:.2f}",
                *(f"{row[key]:.2f}" for key in ("exact", "f1")),
                str(row.get("books_F1", "-")),
            ]
            for row in rows
        ],
    )
    if plot is not None:
        with atomic_write(plot) as file:
            file.write(draw(rows))
    print_json({"benchmark": "frontier", "inputs": inputs, "rows": rows})


if __name__ == "__main__":
    run(main)
