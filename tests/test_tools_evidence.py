"""Evidence is found in a book however its spaces and quotes are written there."""

from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.errors import DatasetError
from squadlite.library.index import BookIndex, ChapterInfo
from squadlite.library.search import Passage
from squadlite.library.structure import Chapter
from tools.evidence import evidence_rank, fold, locate
from tools.questions import Question

TEXTS = st.text(st.sampled_from("aB'’“\" \n\t\u2060\u00ad."), max_size=30)
TEXT_OF_CHAPTER = ["Rusk asked for a song in his tent.", "The sea was “grey”\u2060 then."]


@given(TEXTS)
def test_folding_keeps_each_characters_place(text: str) -> None:
    folded, positions = fold(text)
    assert len(folded) == len(positions)
    assert positions == sorted(set(positions))
    for character, position in zip(folded, positions, strict=True):
        kept = text[position]
        assert character == kept or (character, kept) in {
            ("'", "’"), ('"', "“"), (" ", "\n"), (" ", "\t"),
        }  # fmt: skip


@given(TEXTS)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    folded, _ = fold(text)
    assert fold(folded)[0] == folded


def test_the_gold_answer_is_located_inside_its_evidence() -> None:
    text = "A song. Then he asked\nfor a ‘song’, twice."
    place = locate(text, "asked for a 'song'", ["ballad", "Song"])
    assert place is not None
    assert text[slice(*place)] == "song"
    assert place[0] > text.index("asked")


def test_letters_that_are_two_in_lower_case_move_no_answer() -> None:
    text = "İİ İİ. He asked for a song"
    place = locate(text, text, ["Song"])
    assert place is not None
    assert text[slice(*place)] == "song"


def test_evidence_without_the_gold_answer_is_located_as_a_whole() -> None:
    assert locate("He asked for a song.", "for a song", ["ballad"]) == (9, 19)
    assert locate("He asked for a song.", "for a ballad", ["ballad"]) is None


@pytest.mark.parametrize("text", ["He asked for a song.", ""])
def test_no_evidence_stands_nowhere(text: str) -> None:
    assert locate(text, " \n", ["song"]) is None


@dataclass
class FakeIndex:
    """A book of two chapters in the same file."""

    chapters: tuple[ChapterInfo, ...] = (
        ChapterInfo(0, "One", "book.xhtml"),
        ChapterInfo(1, "Two", "book.xhtml"),
    )

    def chapter(self, index: int) -> Chapter:
        return Chapter(index, "", "book.xhtml", TEXT_OF_CHAPTER[index])


BOOK = cast(BookIndex, FakeIndex())


def question(answers: list[str], evidence: str) -> Question:
    return Question("one", "What was grey?", answers, "book.xhtml", evidence)


def passage(chapter: int, start: int, end: int) -> Passage:
    return Passage(chapter, start, end, TEXT_OF_CHAPTER[chapter][start:end], 1.0, 1.0)


def test_the_rank_is_that_of_the_first_passage_around_the_answer() -> None:
    other_chapter, beside, cut, whole = (
        passage(0, 0, 30), passage(1, 8, 20), passage(1, 0, 6), passage(1, 0, 18),
    )  # fmt: skip
    asked = question(["sea"], 'The sea was "grey"')
    assert evidence_rank(BOOK, asked, [other_chapter, beside, cut, whole, whole]) == 4
    assert evidence_rank(BOOK, asked, [other_chapter, beside, cut]) is None


def test_what_the_book_does_not_say_has_no_rank() -> None:
    assert evidence_rank(BOOK, question([], ""), [passage(1, 0, 18)]) is None


def test_evidence_that_the_book_has_not_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"question 'one': .* expected its evidence there"):
        evidence_rank(BOOK, question(["sea"], "The sea was blue"), [])
