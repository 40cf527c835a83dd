"""Replies as the commands that ask print them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from squadlite.cli.output import shows_colours, terminal_width, wrapped
from squadlite.cli.questions import Question

if TYPE_CHECKING:
    from squadlite.asking import Answer, Place, Reply

_MARGIN = 4  # columns on either side of a passage

# From which score on, how it is said and in which colour; the page has the same words.
SURENESS = (
    (0.85, "very sure", "green"),
    (0.6, "fairly sure", "green"),
    (0.35, "not very sure", "yellow"),
    (0.0, "a guess", "yellow"),
)


def reply_json(item: Question, reply: "Reply", costs: dict[str, float]) -> dict[str, Any]:
    """
    A reply as the command prints it with --json.

    Args:
        item: the question.
        reply: to it.
        costs: what was paid once, in milliseconds.
    """
    timing = costs | {"retrieve_ms": reply.retrieve_ms, "read_ms": reply.read_ms}
    return {
        "id": item.id,
        "question": reply.question,
        "answer": reply.answer,
        "score": reply.score,
        "answers": [asdict(answer) for answer in reply.answers],
        "null_score": reply.null_score,
        "passages_read": reply.passages_read,
        "timing": {name: round(value, 3) for name, value in timing.items()},
    }


def print_reply(reply: "Reply", title: str, *, bounded: bool = False) -> None:
    """
    Print a reply for a person.

    Args:
        reply: to a question.
        title: of what was asked: a book's, or "The library".
        bounded: whether only a part of it was.
    """
    if reply.answer is None:
        where = " up to there" if bounded else ""
        _print(f"{title} doesn't say{where}.", bold=True)
        heading, others = "Nearest guesses:", reply.answers
    else:
        best = reply.answers[0]
        sureness, colour = next(said for least, *said in SURENESS if best.score >= least)
        style = {"bold": True, "fg": colour}
        _print(_one_line(best.text), **style)
        _print(f"{best.book}, {_chapters([best])}  ({sureness}, {best.score:.0%})")
        click.echo()
        _print_passage(best, style if shows_colours() else None)
        click.echo()
        if len(best.places) > 1:
            _print(f"Also in {_chapters(best.places[1:])}.")
        heading, others = "Other answers:", reply.answers[1:]
    if others:
        _print(heading)
    for answer in others:
        # Beside the answers of one book its title says nothing.
        book = "" if answer.source is None else f"{answer.book}: "
        where = f"{book}{_chapters(answer.places)}"
        _print_beside(f"  {answer.score:4.0%}  ", f"{_one_line(answer.text)}  ({where})")


def _print_beside(label: str, text: str) -> None:
    for start, end in wrapped(text, terminal_width() - len(label)):
        click.secho(f"{label}{text[start:end]}", dim=True)
        label = " " * len(label)


def _print(text: str, **style: Any) -> None:
    for start, end in wrapped(text, terminal_width()):
        click.secho(text[start:end], **style)


def _print_passage(answer: "Answer", style: dict[str, Any] | None) -> None:
    # Marks the answer by its style, or where there is none by asterisks.
    passage = answer.passage
    text, start, end = passage.text, answer.start - passage.start, answer.end - passage.start
    if style is None:
        text = f"{text[:start]}**{text[start:end]}**{text[end:]}"
        start = end = 0
    margin = " " * _MARGIN
    for first, last in wrapped(text, terminal_width() - 2 * _MARGIN):
        # The part of the line that is the answer's.
        begin, stop = (min(max(place, first), last) for place in (start, end))
        marked = click.style(text[begin:stop], **style) if style and begin < stop else ""
        click.echo(f"{margin}{text[first:begin]}{marked}{text[stop:last]}".rstrip())


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
