"""Files of questions over books: NAME.jsonl has those over the book NAME.epub, one a line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squadlite.errors import DatasetError


@dataclass(frozen=True)
class Question:
    """
    A question over a book.

    Attributes:
        id: unique in its folder.
        question: as it is asked.
        answers: the gold answers as the book writes them; none where the book doesn't say.
        chapter: the href of the chapter that answers it, or "".
        evidence: the chapter's text around the answer, or "".
    """

    id: str
    question: str
    answers: list[str]
    chapter: str = ""
    evidence: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is asked of the whole book rather than written over one passage."""
        return "-plain-" in self.id


def load_questions(folder: Path) -> dict[str, list[Question]]:
    """
    Read the questions of all files of a folder.

    Returns:
        The books' names, in order, with their questions; at least one each.

    Raises:
        DatasetError: there are none, or a line isn't one.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DatasetError(f"{folder}: no *.jsonl, expected a file for each book")
    return {file.stem: load_question_file(file) for file in files}


def find_book(folder: Path, name: str) -> Path:
    """
    Find the book that a file of questions is named after.

    Raises:
        DatasetError: there is none, or several.
    """
    found = sorted(
        path for path in folder.iterdir() if path.stem == name and path.suffix != ".jsonl"
    )
    if len(found) != 1:
        raise DatasetError(f"{folder}: found {len(found)} books called {name!r}, expected one")
    return found[0]


def load_question_file(file: Path) -> list[Question]:
    """
    Read one file of questions.

    Raises:
        DatasetError: it is empty, or a line isn't a question.
    """
    lines = file.read_bytes().splitlines()
    if not lines:
        raise DatasetError(f"{file}: empty, expected a question on each line")
    return [_parse(line, f"{file}:{number}") for number, line in enumerate(lines, start=1)]


def _parse(line: bytes, place: str) -> Question:
    try:
        record: Any = json.loads(line)
        # An unanswerable question may say null of where its answer stands.
        fields: dict[str, Any] = {
            name: "" if value is None else value for name, value in record.items()
        }
        question = Question(**fields)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{place}: {error}, expected an object with id, question, answers, chapter, evidence"
        ) from error
    texts = (question.id, question.question, question.chapter, question.evidence)
    is_list = isinstance(question.answers, list)
    if not is_list or not all(isinstance(text, str) for text in (*texts, *question.answers)):
        raise DatasetError(f"{place}: found {record!r:.80}, expected texts and a list of them")
    return question
