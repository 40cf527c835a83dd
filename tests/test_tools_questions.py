"""Files of questions: what they hold is what is read, and what isn't a question is named."""

import json
from pathlib import Path

import pytest

from squadlite.errors import DatasetError
from tools.questions import Question, find_book, load_question_file, load_questions

WRITTEN = Question("book-001", "Who sang?", ["Rusk"], "one.xhtml", "Rusk sang")
PLAIN = Question("book-plain-01", "Who is Rusk's father?", [], "", "")


def write(path: Path, *questions: Question) -> None:
    lines = [json.dumps(vars(question)) + "\n" for question in questions]
    path.write_text("".join(lines), encoding="utf-8")


def test_questions_are_read_by_book_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "second.jsonl", PLAIN)
    write(tmp_path / "first.jsonl", WRITTEN, PLAIN)
    (tmp_path / "README.md").write_text("not questions", encoding="utf-8")
    questions = load_questions(tmp_path)
    assert list(questions.items()) == [("first", [WRITTEN, PLAIN]), ("second", [PLAIN])]


def test_plain_questions_are_told_by_their_ids() -> None:
    assert PLAIN.is_plain
    assert not WRITTEN.is_plain


@pytest.mark.parametrize("line", ["{", "[]", '"text"', '{"id": "one"}', '{"unknown": 1}'])
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path / "book.jsonl", WRITTEN)
    with (tmp_path / "book.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DatasetError, match=r"book\.jsonl:2: .*expected an object with id"):
        load_questions(tmp_path)


def test_a_folder_or_file_without_questions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \*\.jsonl"):
        load_questions(tmp_path)
    write(tmp_path / "book.jsonl")
    with pytest.raises(DatasetError, match=r"book\.jsonl: empty"):
        load_questions(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["{", "3", '{"id": "a", "question": "Who?"}', '{"id": "a", "question": 3, "answers": []}'],
)
def test_a_broken_line_of_questions_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "question": "Who?", "answers": []}\n' + line)
    with pytest.raises(DatasetError, match=r"a\.jsonl:2"):
        load_question_file(path)


def test_a_book_that_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "salt.jsonl").touch()
    with pytest.raises(DatasetError, match="found 0 books called 'salt'"):
        find_book(tmp_path, "salt")
    (tmp_path / "salt.md").touch()
    assert find_book(tmp_path, "salt") == tmp_path / "salt.md"
    (tmp_path / "salt.epub").touch()
    with pytest.raises(DatasetError, match="found 2 books"):
        find_book(tmp_path, "salt")
