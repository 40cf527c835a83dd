"""
How well books are searched and questions about them answered.

    python -m benchmarks.books ../shared/books ../shared/data/book-questions

For each question file NAME.jsonl the book NAME.epub is asked every question. Columns:

- recall@N: the passage with the evidence is among the first N retrieved (answerable questions);
- EM, F1: SQuAD's exact match and F1 of the first-ranked answer (answerable questions);
- hit@5: one of the first five answers matches exactly or contains a gold answer's words;
- says so: the share of answerable questions that got an answer;
- no-answer: the share of unanswerable questions that got "the book doesn't say";
- median, p95: seconds a question with the model loaded and the index warm.

Every offset of every answer is checked against the chapter's text.
"""

import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from squadlite.answering.metrics import exact_match, normalize_answer, token_f1
from squadlite.answering.reader import Reader
from squadlite.ask import DEFAULT_PASSAGES, Reply, ask, retrieve
from squadlite.cli.output import print_json, print_table
from squadlite.config import COMPUTES, Compute
from squadlite.library.index import BookIndex, Passage
from squadlite.models import DEFAULT_MODEL

RECALL_DEPTHS = tuple(sorted({5, 20, DEFAULT_PASSAGES}))
# One character for one, so that positions stay; NUL marks what folding drops.
_FOLDED = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "\u2060": "\0", "\u00ad": "\0"})


@dataclass
class Outcome:
    """What one question came to; None where a measure doesn't apply to it."""

    id: str
    question: str
    gold: list[str]
    reply: Reply
    seconds: float
    evidence_rank: int | None  # 1 is first; None: not retrieved, or nothing to retrieve
    exact: float | None = None
    f1: float | None = None
    hit: float | None = None


@dataclass
class Table:
    """The measures of one book, or of all."""

    name: str
    index_seconds: float
    outcomes: list[Outcome] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """All measures; shares and scores in percent."""
        answerable = [outcome for outcome in self.outcomes if outcome.gold]
        others = [outcome for outcome in self.outcomes if not outcome.gold]
        seconds = [outcome.seconds for outcome in self.outcomes]
        ranks = [outcome.evidence_rank for outcome in answerable]
        return {
            "book": self.name,
            "questions": len(self.outcomes),
            **{
                f"recall@{depth}": _percent(rank is not None and rank <= depth for rank in ranks)
                for depth in RECALL_DEPTHS
            },
            "EM": _percent(outcome.exact for outcome in answerable),
            "F1": _percent(outcome.f1 for outcome in answerable),
            "hit@5": _percent(outcome.hit for outcome in answerable),
            "says so": _percent(outcome.reply.answer is not None for outcome in answerable),
            "no-answer": _percent(outcome.reply.answer is None for outcome in others),
            "median s": round(statistics.median(seconds), 3),
            "p95 s": round(float(np.percentile(seconds, 95)), 3),
            "index s": round(self.index_seconds, 3),
        }


def _percent(values: Any) -> float:
    shares = [float(value) for value in values]
    return round(100 * statistics.fmean(shares), 1) if shares else float("nan")


def fold(text: str) -> tuple[str, list[int]]:
    """
    Text with whitespace folded and curly quotes straightened, to compare evidence with books.

    Returns:
        The folded text, and the position in `text` of each of its characters.
    """
    folded: list[str] = []
    positions: list[int] = []
    for position, character in enumerate(text.translate(_FOLDED)):
        if character == "\0":
            continue
        if character.isspace():
            if folded and folded[-1] != " ":
                folded.append(" ")
                positions.append(position)
            continue
        folded.append(character)
        positions.append(position)
    return "".join(folded), positions


def locate(text: str, evidence: str, answers: list[str]) -> tuple[int, int] | None:
    """Where in a chapter's text the gold answer inside the evidence stands, or None."""
    folded, positions = fold(text)
    folded_evidence = fold(evidence)[0].strip()
    evidence_start = folded.find(folded_evidence)
    if evidence_start < 0:
        return None
    for answer in answers:
        folded_answer = fold(answer)[0].strip()
        inside = folded_evidence.lower().find(folded_answer.lower())
        if inside >= 0:
            start = evidence_start + inside
            return positions[start], positions[start + len(folded_answer) - 1] + 1
    return positions[evidence_start], positions[evidence_start + len(folded_evidence) - 1] + 1


def evidence_rank(index: BookIndex, record: dict[str, Any], found: list[Passage]) -> int | None:
    """The rank of the first retrieved passage that holds the answer's place; 1 is first."""
    if not record["answers"]:
        return None
    chapters = [chapter for chapter in index.chapters if chapter.href == record["chapter"]]
    for chapter in chapters:
        place = locate(index.chapter(chapter.index).text, record["evidence"], record["answers"])
        if place is None:
            continue
        for rank, passage in enumerate(found, start=1):
            if (
                passage.chapter_index == chapter.index
                and passage.start <= place[0]
                and place[1] <= passage.end
            ):
                return rank
        return None
    raise click.ClickException(f"{record['id']}: evidence not found in the book")


def check_offsets(index: BookIndex, reply: Reply) -> None:
    """Raise where an answer or its passage isn't the chapter's text at its offsets."""
    for answer in reply.answers:
        text = index.chapter(answer.chapter.index).text
        passage = answer.passage
        if (
            text[answer.start : answer.end] != answer.text
            or text[passage.start : passage.end] != passage.text
        ):
            raise click.ClickException(f"wrong offsets: {asdict(answer)}")


def _matches(answer: str, gold: str) -> bool:
    words, gold_words = normalize_answer(answer).split(), normalize_answer(gold).split()
    return bool(gold_words) and (
        words == gold_words or f" {' '.join(gold_words)} " in f" {' '.join(words)} "
    )


def measure(index: BookIndex, reader: Reader, record: dict[str, Any], passages: int) -> Outcome:
    """Ask one question and score the reply."""
    started = time.perf_counter()
    reply = ask(record["question"], index, reader, passages=passages)
    seconds = time.perf_counter() - started
    check_offsets(index, reply)
    found = retrieve(record["question"], index, reader, max(*RECALL_DEPTHS, passages))
    gold = record["answers"]
    outcome = Outcome(
        record["id"], record["question"], gold, reply, seconds, evidence_rank(index, record, found)
    )
    if gold:
        first = reply.answers[0].text if reply.answers else ""
        outcome.exact = max(exact_match(text, first) for text in gold)
        outcome.f1 = max(token_f1(text, first) for text in gold)
        outcome.hit = (
            max(_matches(answer.text, text) for answer in reply.answers[:5] for text in gold)
            if reply.answers
            else 0.0
        )
    return outcome


@click.command()
@click.argument("books", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("questions", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), default=DEFAULT_MODEL)
@click.option("--passages", default=DEFAULT_PASSAGES, show_default=True)
@click.option("--compute", type=click.Choice(COMPUTES), default="auto", show_default=True)
@click.option("--threads", type=int)
@click.option("--details", is_flag=True, help="Print every question with its reply.")
def main(
    books: Path,
    questions: Path,
    model: Path,
    passages: int,
    compute: Compute,
    threads: int | None,
    details: bool,
) -> None:
    """Ask every question of the files in QUESTIONS to the book of the same name in BOOKS."""
    reader = Reader.load(model, threads=threads, compute=compute)
    tables = []
    for file in sorted(questions.glob("*.jsonl")):
        with tempfile.TemporaryDirectory() as cache:
            started = time.perf_counter()
            with BookIndex.open(books / f"{file.stem}.epub", cache_dir=Path(cache)) as index:
                if reader.embedder is not None:
                    index.add_vectors(reader.embedder)
                table = Table(file.stem, time.perf_counter() - started)
                for line in file.read_text(encoding="utf-8").splitlines():
                    table.outcomes.append(measure(index, reader, json.loads(line), passages))
        tables.append(table)
    everything = Table("all", sum(table.index_seconds for table in tables))
    everything.outcomes = [outcome for table in tables for outcome in table.outcomes]
    if details:
        for outcome in everything.outcomes:
            _print_details(outcome)
    summaries = [table.summary() for table in (*tables, everything)]
    print_table(list(summaries[0]), [[str(value) for value in row.values()] for row in summaries])
    print_json(
        {
            "benchmark": "books",
            "model": model.name,
            "passages": passages,
            "compute": compute,
            "rows": summaries,
        }
    )


def _print_details(outcome: Outcome) -> None:
    verdict = "ok " if outcome.f1 is None or outcome.f1 > 0 else "BAD"
    if not outcome.gold:
        verdict = "ok " if outcome.reply.answer is None else "BAD"
    click.echo(f"{verdict} {outcome.id} {outcome.question}")
    click.echo(f"      gold {outcome.gold}, evidence at rank {outcome.evidence_rank}")
    for answer in outcome.reply.answers[:3]:
        click.echo(f"      {answer.score:.3f} {answer.text!r} ({answer.chapter.title})")


if __name__ == "__main__":
    main()
