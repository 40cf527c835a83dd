"""
Books put together again from the passages of question-answering data.

    python -m tools.assemble_books OUTPUT --data books-train-v2.0.json --book TITLE --book TITLE

The data of books holds overlapping cuts of each: the passages that questions were written for,
other cuts around the same answers, and passages that a search returned. Cuts that share their ends
are joined to stretches; each stretch becomes a section of NAME.html, and the questions asked of
the whole book go to NAME.jsonl, one a line, as `tools.fit_answering` and benchmarks/books.py take
them. What no passage holds is missing, so such a book is shorter than the real one.
"""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from squadlite.answering.squad import SquadExample, load_squad
from squadlite.digests import digest_of
from squadlite.errors import DatasetError
from tools.command import existing_file, output_argument, run
from tools.folders import STAGES_FILE, atomic_folder, write_json

# Shorter than any sentence that begins a passage with another's end, longer than a refrain.
MIN_OVERLAP = 40
# Characters before and behind an answer that tell its place in the book.
EVIDENCE_MARGIN = 40


def merge_cuts(cuts: Iterable[str]) -> list[str]:
    """
    Join cuts of one text that overlap by MIN_OVERLAP characters or more, or hold one another.

    Args:
        cuts: in any order; the same one may come several times.

    Returns:
        The stretches of the text that the cuts cover, each beginning with its earliest cut, in
        the order in which those came.
    """
    stretches: list[str] = []
    for cut in dict.fromkeys(cuts):
        if any(cut in stretch for stretch in stretches):
            continue
        stretches = [stretch for stretch in stretches if stretch not in cut]
        stretches.append(cut)
    followers = _followers(stretches)
    preceded = {follower for follower, _ in followers.values()}
    firsts = [number for number in range(len(stretches)) if number not in preceded]
    return [_chain(number, stretches, followers) for number in firsts]


def _followers(stretches: Sequence[str]) -> dict[int, tuple[int, int]]:
    """Number of a stretch -> that of the one which goes on from it, and how much they share."""
    by_beginning = {
        stretch[:MIN_OVERLAP]: number
        for number, stretch in enumerate(stretches)
        if len(stretch) >= MIN_OVERLAP
    }
    overlaps = sorted(
        (-(len(stretch) - start), number, follower)
        for number, stretch in enumerate(stretches)
        for start in range(1, len(stretch) - MIN_OVERLAP + 1)
        if (follower := by_beginning.get(stretch[start : start + MIN_OVERLAP])) is not None
        and follower != number
        and stretches[follower].startswith(stretch[start:])
    )
    # The longest overlap is the nearest neighbour; each has one before it and one behind it.
    followers: dict[int, tuple[int, int]] = {}
    preceded: set[int] = set()
    for shared, number, follower in overlaps:
        is_free = number not in followers and follower not in preceded
        if is_free and not _leads_to(number, follower, followers):
            followers[number] = (follower, -shared)
            preceded.add(follower)
    return followers


def _leads_to(goal: int, number: int, followers: dict[int, tuple[int, int]]) -> bool:
    while number in followers:
        number, _ = followers[number]
        if number == goal:
            return True
    return number == goal


def _chain(number: int, stretches: Sequence[str], followers: dict[int, tuple[int, int]]) -> str:
    text = stretches[number]
    while number in followers:
        number, shared = followers[number]
        text += stretches[number][shared:]
    return text


def assemble(examples: Sequence[SquadExample], name: str) -> tuple[str, list[dict[str, object]]]:
    """
    Put one book together.

    Args:
        examples: questions with passages of the book.
        name: the book's.

    Returns:
        The book as an HTML page, and the questions, each once: its first id, its text, the answers
        that any passage gives (none: the book doesn't say), and as evidence the first passage's
        words around its answer.
    """
    stretches = merge_cuts(example.context for example in examples)
    sections = "\n".join(
        f"<h2>Stretch {number}</h2>\n{_paragraphs(stretch)}"
        for number, stretch in enumerate(stretches, start=1)
    )
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(name)}</title></head>\n<body>\n{sections}\n</body></html>\n"
    )
    answers: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    evidence: dict[str, str] = {}
    for example in examples:
        if example.has_answer:
            evidence.setdefault(example.question, _around(example))
        ids.setdefault(example.question, example.id)
        answers.setdefault(example.question, []).extend(answer.text for answer in example.answers)
    questions: list[dict[str, object]] = [
        {
            "id": ids[question],
            "question": question,
            "answers": list(dict.fromkeys(texts)),
            "evidence": evidence.get(question, ""),
        }
        for question, texts in answers.items()
    ]
    return page, questions


def _around(example: SquadExample) -> str:
    answer = example.answers[0]
    start, end = answer.start, answer.start + len(answer.text)
    return example.context[max(0, start - EVIDENCE_MARGIN) : end + EVIDENCE_MARGIN]


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in text.split("\n\n"))


def book_name(title: str) -> str:
    """The book of an article: "book/AUTHOR_TITLE" and "plain/AUTHOR_TITLE" are about the same."""
    return title.rpartition("/")[2]


@click.command()
@output_argument
@click.option(
    "--data", type=existing_file, multiple=True, required=True, help="SQuAD file of passages."
)
@click.option(
    "--book",
    "books",
    multiple=True,
    help="A book: an article's title, or what stands behind its last /; may be repeated.  "
    "[default: all]",
)
@click.option("--leave-out", multiple=True, help="All but this book; may be repeated.")
def main(
    output: Path, data: tuple[Path, ...], books: tuple[str, ...], leave_out: tuple[str, ...]
) -> None:
    """
    Put the books of SQuAD files together again, in the folder OUTPUT, which is replaced.

    \b
    Example:
      python -m tools.assemble_books books --data books-train-v2.0.json --book jane-austen_emma
    """
    by_name: dict[str, list[SquadExample]] = {}
    for path in data:
        for example in load_squad(path):
            by_name.setdefault(book_name(example.title), []).append(example)
    for name in map(book_name, (*books, *leave_out)):
        if name not in by_name:
            raise DatasetError(f"book {name!r}: expected one of {', '.join(by_name)}")
    unwanted = set(map(book_name, leave_out))
    names = [name for name in map(book_name, books or by_name) if name not in unwanted]
    stage = {"stage": "assemble_books", "data": [digest_of(path) for path in data], "books": names}
    with atomic_folder(output) as folder:
        write_json(folder / STAGES_FILE, [stage])
        for name in names:
            page, questions = assemble(by_name[name], name)
            lines = (json.dumps(question, ensure_ascii=False) + "\n" for question in questions)
            (folder / f"{name}.html").write_bytes(page.encode())
            (folder / f"{name}.jsonl").write_bytes("".join(lines).encode())
            click.echo(f"{name}: {len(page):,} characters, {len(questions)} questions")


if __name__ == "__main__":
    run(main)
