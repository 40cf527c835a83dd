import json
from pathlib import Path
from typing import Any

import pytest
from tiny_training import run_stage

from squadlite.answering.squad import load_squad, mismatched_answers
from squadlite.errors import DatasetError
from squadlite.library.book import open_book
from tools.book_data import main as book_data

# Each paragraph is a passage of its own: nobody else in it is called so.
NAMES = [f"{first}{last}" for first in ("Al", "Be", "Ca", "Do") for last in ("ric", "nor", "mus")]
FILLER = "The road went on over the hill and down again to the grey and windy sea. " * 12


def paragraph(number: int, name: str) -> str:
    return f"{FILLER}The keeper of lighthouse number {number} was {name}, an old sailor. {FILLER}"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A book of a dozen keepers, and two questions about it."""
    text = "\n\n".join(paragraph(number, name) for number, name in enumerate(NAMES))
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "keepers.txt").write_text(text, encoding="utf-8")
    write_questions(tmp_path, evidence="number 3 was Beric, an old")
    return tmp_path


def write_questions(world: Path, *, evidence: str) -> None:
    (chapter,) = open_book(world / "books" / "keepers.txt").chapters
    records: list[dict[str, Any]] = [
        {"id": "yes", "answers": ["Beric"], "evidence": evidence},
        {"id": "no", "answers": [], "evidence": ""},
    ]
    for record in records:
        record |= {
            "question": "Who was the keeper of lighthouse number 3?",
            "chapter": chapter.href,
        }
    folder = world / "questions"
    folder.mkdir(exist_ok=True)
    lines = "\n".join(map(json.dumps, records))
    (folder / "keepers.jsonl").write_text(lines + "\n", encoding="utf-8")


def make(world: Path, name: str, *options: object) -> list[Any]:
    output = world / name
    result = run_stage(
        book_data, output, "--books", world / "books", "--questions", world / "questions", *options
    )
    assert result.exit_code == 0, result.output
    return load_squad(output)


def test_a_question_is_asked_of_passages_with_and_without_the_answer(world: Path) -> None:
    examples = {example.id: example for example in make(world, "data.json", "--negatives", 3)}
    assert examples.keys() >= {"byes", "ayes", "n0yes", "n1yes", "n2yes", "bno", "n0no"}
    for name, example in examples.items():
        assert example.title == "book/keepers"
        assert example.has_answer == (name in ("byes", "ayes"))
        if name.endswith("yes"):
            assert example.has_answer == ("Beric" in example.context)
    assert examples["byes"].answers[0].text == examples["ayes"].answers[0].text == "Beric"
    assert not list(mismatched_answers(examples.values()))
    assert len({example.context for example in examples.values() if "yes" in example.id}) == 5


def test_the_same_seed_gives_the_same_bytes_and_another_other_cuts(world: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 5)):
        make(world, name, "--seed", seed)
    assert (world / "one").read_bytes() == (world / "same").read_bytes()
    assert (world / "one").read_bytes() != (world / "other").read_bytes()


def test_evidence_that_is_not_in_the_book_is_an_error(world: Path) -> None:
    write_questions(world, evidence="number 3 was nobody")
    with pytest.raises(DatasetError, match=r"question 'yes': .* expected its evidence there"):
        make(world, "data.json")
    assert not (world / "data.json").exists()


def test_a_book_that_is_missing_is_an_error(world: Path) -> None:
    (world / "books" / "keepers.txt").unlink()
    with pytest.raises(DatasetError, match="found 0 books called 'keepers'"):
        make(world, "data.json")


def test_real_questions_become_training_data(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "questions"
    folder.mkdir()
    file = shared / "data" / "book-questions" / "the-time-machine.jsonl"
    (folder / file.name).write_bytes(file.read_bytes())
    output = tmp_path / "data.json"
    result = run_stage(book_data, output, "--books", shared / "books", "--questions", folder)
    assert result.exit_code == 0, result.output
    examples = load_squad(output)
    asked = {example.question for example in examples if example.has_answer}
    assert len(asked) == 25
    assert not list(mismatched_answers(examples))
