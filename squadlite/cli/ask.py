"""`squadlite ask`: questions to a book, cited answers back."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from squadlite.cli.output import (
    compute_option,
    existing_file,
    existing_path,
    json_option,
    print_json,
    progress_bar,
    threads_option,
)
from squadlite.errors import DatasetError
from squadlite.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.text import Text

    from squadlite.ask import Answer, Place, Reply
    from squadlite.config import Compute


@dataclass(frozen=True)
class _Question:
    id: str | None
    text: str


@click.command()
@click.argument("book", type=existing_path)
@click.argument("question", required=False)
@click.option(
    "--questions",
    type=existing_file,
    help="Ask every question of a JSON-lines file with `id` and `question`; implies --json.",
)
@click.option(
    "--model", type=existing_path, default=DEFAULT_MODEL, help="A .sqz file or a checkpoint folder."
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many answers to give at most.",
)
@click.option(
    "--passages",
    type=click.IntRange(min=1),
    help="How many passages of the book to read: more is slower and misses less.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    help="Give an answer only if it is surer than this, 0 to 1; else the book doesn't say.  "
    "[default: the model's own]",
)
@compute_option("auto")
@threads_option
@json_option
def ask(
    book: Path,
    question: str | None,
    questions: Path | None,
    model: Path,
    top_k: int,
    passages: int | None,
    min_score: float | None,
    compute: "Compute",
    threads: int | None,
    as_json: bool,
) -> None:
    """
    Ask BOOK a QUESTION and cite the place that answers it.

    BOOK is an EPUB, PDF, MOBI, AZW3, FB2, DOCX, ODT, RTF, plain text, HTML or Markdown file. The
    first question to a book builds its index in the cache directory; later ones reuse it.

    Beside each answer stands how sure it is: of a hundred answers at 70%, about seventy are right.
    Where the best one isn't sure enough, the book doesn't say, and you see the nearest guesses;
    --min-score says how sure is enough.

    \b
    Examples:
      squadlite ask book.epub "Who keeps the lighthouse?"
      squadlite ask book.epub "Who keeps the lighthouse?" --min-score 0.7
      squadlite ask book.epub --questions questions.jsonl > answers.jsonl
    """
    if (question is None) == (questions is None):
        raise click.UsageError("Give either a QUESTION or --questions FILE.")
    asked = [_Question(None, question)] if question is not None else _load_questions(questions)

    from squadlite.library.index import BookIndex

    started = time.perf_counter()
    with progress_bar("Indexing the book") as progress:
        index = BookIndex.open(book, progress=progress)
    indexed = time.perf_counter()
    with index:
        # Loading the model takes longer than all the rest: only once the book is known to be good.
        from squadlite.answering.reader import Reader
        from squadlite.ask import DEFAULT_PASSAGES
        from squadlite.ask import ask as ask_book

        reader = Reader.load(model, threads=threads, compute=compute)
        loaded = time.perf_counter()
        if reader.embedder is not None:
            with progress_bar("Reading the book") as progress:
                index.add_vectors(reader.embedder, progress=progress)
        index_s = indexed - started + time.perf_counter() - loaded
        costs = {"load_ms": (loaded - indexed) * 1000, "index_ms": index_s * 1000}
        for item in asked:
            reply = ask_book(
                item.text,
                index,
                reader,
                top_k=top_k,
                passages=passages or DEFAULT_PASSAGES,
                min_score=min_score,
            )
            if as_json or questions is not None:
                print_json(_as_json(item, reply, costs))
            else:
                _print_reply(reply, index.title)


def _load_questions(path: Path | None) -> list[_Question]:
    if path is None:
        return []
    return list(_parse_questions(path))


def _parse_questions(path: Path) -> Iterator[_Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: {error.reason} at byte {error.start}, expected UTF-8"
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}: line {number}: {error}, expected a JSON object") from None
        question = record.get("question") if isinstance(record, dict) else None
        if not isinstance(question, str):
            raise DatasetError(f"{path}: line {number}: no `question` text, expected one")
        identifier = record.get("id")
        yield _Question(None if identifier is None else str(identifier), question)


def _as_json(item: _Question, reply: "Reply", costs: dict[str, float]) -> dict[str, Any]:
    timing = costs | {"retrieve_ms": reply.retrieve_ms, "read_ms": reply.read_ms}
    return {
        "id": item.id,
        "question": reply.question,
        "answer": reply.answer,
        "score": reply.score,
        "answers": [asdict(answer) for answer in reply.answers],
        "null_score": reply.null_score,
        "timing": {name: round(value, 3) for name, value in timing.items()},
    }


def _print_reply(reply: "Reply", title: str) -> None:
    # rich costs a tenth of a second to import, which --json needn't pay.
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    if reply.answer is None:
        console.print(Text(f"{title} doesn't say.", style="bold"))
        heading, others = "Nearest guesses:", reply.answers
    else:
        best = reply.answers[0]
        console.print(Text(_one_line(best.text), style="bold green"))
        console.print(Text(f"{best.book}, {_chapters([best])}  ({best.score:.0%} sure)"))
        passage = Padding(_marked_passage(best, colour=console.is_terminal), (1, 4))
        with console.capture() as capture:
            console.print(passage)
        # Padding fills lines up with spaces, which nobody wants in a file.
        click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
        if len(best.places) > 1:
            console.print(Text(f"Also in {_chapters(best.places[1:])}."))
        heading, others = "Other answers:", reply.answers[1:]
    if others:
        console.print(heading)
    for answer in others:
        line = f"  {answer.score:4.0%}  {_one_line(answer.text)}  ({_chapters(answer.places)})"
        console.print(Text(line, style="dim"))


def _marked_passage(answer: "Answer", *, colour: bool) -> "Text":
    from rich.text import Text

    passage = answer.passage
    start, end = answer.start - passage.start, answer.end - passage.start
    before, marked, after = passage.text[:start], passage.text[start:end], passage.text[end:]
    if colour:
        return Text.assemble(before, (marked, "bold green"), after)
    return Text(f"{before}**{marked}**{after}")


def _chapters(places: "Sequence[Place | Answer]") -> str:
    """The chapters and pages that places are in, each once and in the order of the places."""
    counts = Counter(
        place.chapter.title if place.page is None else f"{place.chapter.title} p. {place.page}"
        for place in places
    )
    return ", ".join(
        title if count == 1 else f"{title} ({count} times)" for title, count in counts.items()
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
