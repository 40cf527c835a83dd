"""squadlite from Python."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import squadlite
from squadlite.answering.reader import Reader
from squadlite.errors import BookError, BoundError, FormatError
from squadlite.library.book import open_book
from squadlite.library.bound import Bound

ROOT = Path(__file__).resolve().parent.parent
SALT_ROAD = ROOT / "tests" / "books" / "the-salt-road.epub"
QUESTION = "What did Rusk ask for instead of the toll?"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return squadlite.Reader.load(compute="auto")


def test_a_question_is_answered_as_by_the_command(reader: Reader) -> None:
    reply = squadlite.ask(SALT_ROAD, QUESTION, model=reader, top_k=2)
    assert reply.answer == "a hatful of salt"
    assert len(reply.answers) == 2
    assert squadlite.ask(str(SALT_ROAD), QUESTION, model=reader, min_score=1).answer is None


@pytest.mark.parametrize(
    "settings",
    [{"top_k": 0}, {"passages": 0}, {"min_score": 70}, {"min_score": -1}, {"min_score": math.nan}],
)
def test_a_setting_that_gives_no_answer_ever_is_refused(
    settings: dict[str, Any], reader: Reader
) -> None:
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} is "):
        squadlite.ask(SALT_ROAD, QUESTION, model=reader, **settings)


def test_a_book_is_what_it_holds_and_what_it_says(reader: Reader) -> None:
    expected = open_book(SALT_ROAD)
    with squadlite.Book.open(SALT_ROAD, model=reader) as book:
        assert (book.title, book.author, book.language) == (
            expected.title,
            expected.author,
            expected.language,
        )
        assert [chapter.title for chapter in book.chapters] == [
            chapter.title for chapter in expected.chapters
        ]
        answer = book.ask(QUESTION).answers[0]
        chapter = book.chapter(answer.chapter.index)
        assert chapter == expected.chapters[answer.chapter.index]
        assert chapter.text[answer.start : answer.end] == answer.text


def test_a_place_in_words_bounds_what_is_told(reader: Reader) -> None:
    with squadlite.Book.open(SALT_ROAD, model=reader) as book:
        first = book.chapters[0].title
        named = book.ask(QUESTION, until=first)
        assert named.answer is None
        assert {answer.chapter.title for answer in named.answers} == {first}
        end = len(book.chapter(0).text)
        assert book.ask(QUESTION, until=Bound(0, end)).answers == named.answers
        assert squadlite.ask(SALT_ROAD, QUESTION, model=reader, until=first).answers == (
            named.answers
        )
        with pytest.raises(BoundError):
            book.ask(QUESTION, until="page 7")


def test_a_book_tells_who_is_who_up_to_a_place() -> None:
    with squadlite.Book.open(SALT_ROAD) as book:
        people = {person.name: person for person in book.people()}
        known = {person.name: person for person in book.people("Chapter 1")}
        assert book.people(Bound(0, len(book.chapter(0).text))) == tuple(known.values())
        with pytest.raises(BoundError):
            book.people("page 7")
    assert people["Rusk"].kind == "person"
    assert people["Crow Bridge"].kind == "place"
    assert "Rusk" not in known
    assert 0 < known["Marit"].count < people["Marit"].count


def test_errors_are_those_of_the_parts(tmp_path: Path) -> None:
    with pytest.raises(BookError):
        squadlite.Book.open(tmp_path / "gone.epub")
    broken = tmp_path / "model.sqz"
    broken.write_bytes(b"no model")
    with pytest.raises(FormatError):
        squadlite.ask(SALT_ROAD, QUESTION, model=broken)


def test_every_name_is_there_whatever_was_imported_before() -> None:
    for name in squadlite.__all__:
        assert name in dir(squadlite)
    assert callable(squadlite.ask)
    program = (
        "import importlib, pkgutil, squadlite\n"
        "for module in pkgutil.iter_modules(squadlite.__path__):\n"
        "    assert module.name not in squadlite.__all__, module.name\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'squadlite' has no attribute 'asks'"):
        squadlite.asks  # noqa: B018
