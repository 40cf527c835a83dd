"""Where in a book the evidence of a gold answer stands, and whether a search has found it."""

import re
from collections.abc import Sequence

from squadlite.errors import DatasetError
from squadlite.library.index import BookIndex
from squadlite.library.search import Passage
from tools.questions import Question

# One character for one, so that positions stay; NUL marks what folding drops.
_FOLDED = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "\u2060": "\0", "\u00ad": "\0"})


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


def locate(text: str, evidence: str, answers: Sequence[str]) -> tuple[int, int] | None:
    """Where in a chapter's text the gold answer inside the evidence stands, or None."""
    folded, positions = fold(text)
    folded_evidence = fold(evidence)[0].strip()
    evidence_start = folded.find(folded_evidence)
    if not folded_evidence or evidence_start < 0:
        return None
    first, last = 0, len(folded_evidence) - 1
    for answer in answers:
        # Not by `lower()`, which may make two characters of one.
        found = re.search(re.escape(fold(answer)[0].strip()), folded_evidence, re.IGNORECASE)
        if found is not None:
            first, last = found.start(), found.end() - 1
            break
    return positions[evidence_start + first], positions[evidence_start + last] + 1


def find_place(index: BookIndex, question: Question) -> tuple[int, int, int]:
    """
    Find where in a book the answer to an answerable question stands.

    Returns:
        The chapter's number, and the characters of its text from and to.

    Raises:
        DatasetError: the book hasn't the evidence.
    """
    for chapter in index.chapters:
        if chapter.href == question.chapter:
            text = index.chapter(chapter.index).text
            place = locate(text, question.evidence, question.answers)
            if place is not None:
                return chapter.index, *place
    raise DatasetError(
        f"question {question.id!r}: found no {question.evidence!r} in {question.chapter!r}, "
        "expected its evidence there"
    )


def evidence_rank(index: BookIndex, question: Question, found: Sequence[Passage]) -> int | None:
    """
    The rank of the first retrieved passage that holds the answer's place; 1 is first.

    Returns:
        None where no passage does, or the book has no answer.

    Raises:
        DatasetError: the book hasn't the evidence.
    """
    if not question.answers:
        return None
    chapter, *place = find_place(index, question)
    return next(
        (rank for rank, passage in enumerate(found, start=1) if holds(passage, chapter, *place)),
        None,
    )


def holds(passage: Passage, chapter: int, start: int, end: int) -> bool:
    """Whether a passage has these characters of a chapter."""
    return passage.chapter_index == chapter and passage.start <= start and end <= passage.end
