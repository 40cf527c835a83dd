"""SQuAD 1.1 and 2.0 files."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squadlite.errors import DatasetError


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """An answer that a person gave: its text, and the character of the context it begins at."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class SquadExample:
    """
    One question of a SQuAD file.

    Args:
        id: unique in the file.
        question, context: texts.
        answers: what people answered; none where the context doesn't answer the question.
        title: of the article that the context is from.
    """

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...]
    title: str

    @property
    def has_answer(self) -> bool:
        """Whether the context answers the question."""
        return bool(self.answers)


def load_squad(path: str | Path) -> list[SquadExample]:
    """
    Read a file in the format of SQuAD 1.1 or 2.0.

    Args:
        path: a JSON file: data -> articles -> paragraphs -> qas. `is_impossible` may be missing,
            as in 1.1; whether a question has an answer is told by its answers.

    Returns:
        The questions in the file's order.

    Raises:
        DatasetError: not JSON, another structure, no question, or an id that stands twice; the
            message says where, what was found and what expected.
        OSError: the file can't be read.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    examples = list(_examples(content, str(path)))
    if not examples:
        raise DatasetError(f"{path}: found no question")
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DatasetError(f"{path}: question {example.id!r}: its id stands in the file twice")
        seen.add(example.id)
    return examples


def mismatched_answers(examples: Iterable[SquadExample]) -> Iterator[str]:
    """
    Check that answers stand where they say.

    The scores compare texts alone and so survive such answers, but training would learn from them.

    Yields:
        One line for each answer that doesn't: the question's id, what was found, what expected.
    """
    for example in examples:
        for answer in example.answers:
            found = example.context[answer.start : answer.start + len(answer.text)]
            if answer.start < 0 or found != answer.text:
                yield (
                    f"question {example.id!r}: found {found!r} at {answer.start}, "
                    f"expected {answer.text!r}"
                )


def _examples(content: Any, where: str) -> Iterator[SquadExample]:
    for article_number, article in enumerate(_field(content, "data", list, where)):
        article_where = f"{where}: data[{article_number}]"
        title = _field(article, "title", str, article_where, default="")
        for number, paragraph in enumerate(_field(article, "paragraphs", list, article_where)):
            paragraph_where = f"{article_where}.paragraphs[{number}]"
            context = _field(paragraph, "context", str, paragraph_where)
            for qa_number, qa in enumerate(_field(paragraph, "qas", list, paragraph_where)):
                qa_where = f"{paragraph_where}.qas[{qa_number}]"
                yield _example(qa, context, title, qa_where, where)


def _example(qa: Any, context: str, title: str, qa_where: str, where: str) -> SquadExample:
    question_id = _field(qa, "id", str, qa_where)
    where = f"{where}: question {question_id!r}"
    answers = tuple(
        GoldAnswer(
            text=_field(answer, "text", str, f"{where}: answers[{number}]"),
            start=_field(answer, "answer_start", int, f"{where}: answers[{number}]"),
        )
        for number, answer in enumerate(_field(qa, "answers", list, where))
    )
    impossible = _field(qa, "is_impossible", bool, where, default=not answers)
    if impossible == bool(answers):
        raise DatasetError(
            f"{where}: is_impossible is {impossible}, but it has {len(answers)} answers"
        )
    return SquadExample(question_id, _field(qa, "question", str, where), context, answers, title)


def _field(record: Any, name: str, kind: type, where: str, *, default: Any = None) -> Any:
    if not isinstance(record, dict):
        raise DatasetError(f"{where}: found {type(record).__name__}, expected an object")
    value = record.get(name, default)
    # bool is an int in Python, and must not pass for a number here.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = type(value).__name__ if name in record else "nothing"
        raise DatasetError(f"{where}: field {name!r}: found {found}, expected {kind.__name__}")
    return value
