"""A bound: how a person names it, and that a search knows nothing of what stands behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st

from squadlite.errors import BoundError
from squadlite.library.bound import Bound
from squadlite.library.index import BookIndex
from squadlite.library.query import Query
from squadlite.library.structure import Book, Chapter, PageStart


@contextmanager
def indexed(book: Book) -> Iterator[BookIndex]:
    with BookIndex.build(book) as index:
        yield index


def book_of(chapters: Sequence[tuple[str, str]]) -> Book:
    return Book(
        "The Book",
        "",
        "en",
        tuple(Chapter(number, title, "", text) for number, (title, text) in enumerate(chapters)),
    )


def known_book(book: Book, bound: Bound) -> Book:
    """A book of what is known alone."""
    chapters = book.chapters[: bound.chapter]
    for chapter in book.chapters[bound.chapter : bound.chapter + 1]:
        chapters += (replace(chapter, text=chapter.text[: bound.end]),)
    return replace(book, chapters=chapters)


TEXT = "one two three four five six seven eight nine ten"  # 48 characters


def place(text: str, *titles: str) -> tuple[int, int]:
    with indexed(book_of([(title, TEXT) for title in titles])) as index:
        bound = Bound.parse(text, index)
    return bound.chapter, bound.end


NUMBERED = ("Dedication", "I: The Toll", "II: The Well", "III", "Chapter Four", "Chapter 14. Salt")


@pytest.mark.parametrize(
    ("text", "chapter"),
    [
        ("Chapter 1", 1),
        ("chapter i", 1),
        ("1", 1),
        ("I", 1),
        ("The Toll", 1),
        ("the toll!", 1),
        ("I: The Toll", 1),
        ("Chapter I. The Toll", 1),
        ("1 – the toll", 1),
        ("CHAPTER III", 3),
        ("three", 3),
        ("chapter 4", 4),
        ("IV", 4),
        ("Chapter XIV", 5),
        (" salt ", 5),
        ("dedication", 0),
    ],
)
def test_a_chapter_is_known_to_its_end(text: str, chapter: int) -> None:
    assert place(text, *NUMBERED) == (chapter, len(TEXT))


def test_where_titles_have_no_numbers_chapters_are_counted_from_one() -> None:
    assert place("Chapter 2", "The Toll", "The Well") == (1, len(TEXT))
    assert place("I", "The Toll", "I Go to Sea") == (0, len(TEXT))


def test_a_title_that_is_a_number_comes_before_the_count() -> None:
    assert place("2", "3", "1", "2") == (2, len(TEXT))


@pytest.mark.parametrize("title", ["ı", "İ. Giriş", "Sıx"])
def test_a_letter_that_is_like_a_numeral_but_for_its_case_is_none(title: str) -> None:
    assert place("Chapter 6", "I", title, "VI") == (2, 48)
    with pytest.raises(BoundError):
        place(title, "I", "VI")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0%", (0, 0)), ("50%", (0, 48)), ("100%", (1, 48)), ("75 %", (1, 23)), ("76.5%", (1, 23))],
)
def test_a_share_ends_with_a_whole_word(text: str, expected: tuple[int, int]) -> None:
    assert TEXT[:23] == "one two three four five"
    assert place(text, "A", "B") == expected


def test_a_share_of_a_text_without_spaces_is_what_it_is() -> None:
    with indexed(book_of([("A", "日" * 1000)])) as index:
        assert Bound.parse("45%", index) == Bound(0, 450)


def test_a_position_is_the_one_that_answers_give() -> None:
    assert place("1:17", "A", "B") == (1, 17)
    assert place("0:48", "A", "B") == (0, 48)


class Paged:
    """An index of a book with pages."""

    def __init__(self, *pages: Sequence[tuple[str, int]]) -> None:
        self.chapters = [
            Chapter(number, "", "", TEXT, tuple(PageStart(*page) for page in of_chapter))
            for number, of_chapter in enumerate(pages)
        ]

    def chapter(self, number: int) -> Chapter:
        return self.chapters[number]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("page xii", (0, 20)),
        ("Page XII", (0, 20)),
        ("p. 1", (1, 7)),  # it goes on in the next chapter
        ("p 2", (1, 48)),  # the next page begins with the next chapter
        ("page 3", (2, 48)),  # the next chapter is on no page
        ("page 9", (5, 12)),  # it has a chapter of its own inside
        ("page 10", (5, 48)),
    ],
)
def test_a_page_is_known_to_its_end(text: str, expected: tuple[int, int]) -> None:
    book = Paged(
        [("xii", 0), ("1", 20)],
        [("1", 0), ("2", 7)],
        [("3", 0)],
        [],
        [("3a", 0), ("9", 3)],
        [("9", 0), ("10", 12)],
    )
    bound = Bound.parse(text, cast(BookIndex, book))
    assert (bound.chapter, bound.end) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "?", "Chapter 40", "0", "The Sea", "101%", "-1%", "page 7", "9:0", "0:49", "x" * 999],
)
def test_a_place_that_is_not_there_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(BoundError, match=r'expected a chapter by title or number .*"45%"') as error:
        place(text, "I: The Toll", "II: The Well")
    assert len(str(error.value)) < 350
    assert "Well" not in str(error.value)


def test_of_several_chapters_of_a_name_the_ends_are_told() -> None:
    with pytest.raises(BoundError, match=r"2 chapters are called so.*: 0:48, 2:48$"):
        place("Chapter 1", "I", "II", "I")


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_a_place_or_refused(text: str) -> None:
    with indexed(book_of([(title, TEXT) for title in NUMBERED])) as index:
        try:
            bound = Bound.parse(text, index)
        except BoundError:
            return
        assert bound.end <= len(index.chapter(bound.chapter).text)


@pytest.mark.parametrize("numbers", [(-1, 0), (0, -1)])
def test_nothing_stands_before_the_begin(numbers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is -1, expected at least 0"):
        Bound(*numbers)


WORDS = [
    "salt",
    "mule",
    "toll",
    "bridge",
    "well",
    "bell",
    "ferry",
    "storm",
    "hatful",
    "marks",
    "goat",
    "page",
    "winter",
    "Rusk",
]


def random_book(seed: int) -> Book:
    """Chapters of none to many passages, names that come late or once, spaces of all kinds."""
    random = np.random.default_rng(seed)
    chapters = []
    for number in range(random.integers(1, 5)):
        words = [*random.choice(WORDS, random.integers(0, 900)), f"only{number}"]
        breaks = random.choice([" ", ". ", "\n\n", ".\n\n", " \u2003"], len(words),
                               p=[0.85, 0.08, 0.02, 0.04, 0.01])  # fmt: skip
        text = "".join(word + space for word, space in zip(words, breaks, strict=True))
        chapters.append((f"Title {number}", text.strip()))
    return book_of(chapters)


BOOKS = [random_book(seed) for seed in range(8)]


@st.composite
def books_and_bounds(draw: st.DrawFn) -> tuple[Book, Bound]:
    book = draw(st.sampled_from(BOOKS))
    chapter = draw(st.integers(0, len(book.chapters)))
    length = len(book.chapters[chapter].text) if chapter < len(book.chapters) else 0
    return book, Bound(chapter, draw(st.integers(0, length + 3)))


QUESTIONS = st.lists(
    st.sampled_from([*WORDS, "only0", "only1", "only3", "the", "zzqq"]), max_size=5
).map(" ".join)


@settings(deadline=None, max_examples=200)
@given(
    books_and_bounds(),
    st.lists(QUESTIONS, min_size=1, max_size=3),
    st.integers(1, 40),
    st.sampled_from([None, 0.0, 0.7]),
)
def test_a_search_with_a_bound_is_one_of_a_book_that_ends_there(
    book_and_bound: tuple[Book, Bound], questions: list[str], limit: int, weight: float | None
) -> None:
    book, bound = book_and_bound
    with indexed(book) as whole, indexed(known_book(book, bound)) as known:
        for question in questions:
            given: dict[str, Any] = {"related": {"mule": 0.3, "only2": 0.5}}
            if weight is not None:
                given["embedder"] = FakeEmbedder(weight=weight)
            found = whole.known(bound).search(Query(question, **given), limit)
            assert found == known.search(Query(question, **given), limit)
            for passage in found:
                assert (passage.chapter_index, passage.end) <= (bound.chapter, bound.end)
                text = book.chapters[passage.chapter_index].text
                assert passage.text == text[passage.start : passage.end]


def test_what_stands_behind_makes_no_difference() -> None:
    known = "Rusk asked for a hatful of salt. The mule drank. " * 30
    bound = Bound(1, len(known))
    endings = ("", "Rusk Rusk salt. " * 500, "He was the murderer. " * 90)
    found = []
    for ending in endings:
        book = book_of([("One", known), ("Two", known + ending), ("The Murderer", ending or "End")])
        with indexed(book) as index:
            found.append(
                index.known(bound).search(Query("Rusk's salt", embedder=FakeEmbedder()), 9)
            )
    assert found[0] == found[1] == found[2] != []


def test_an_unbounded_search_comes_back_after_a_bounded_one() -> None:
    with indexed(BOOKS[0]) as index:
        embedder = FakeEmbedder()
        before = index.search(Query("salt mule", embedder=embedder), 9)
        bounds = [Bound(0, 300), Bound(0, 300), Bound(0, 0), Bound(1, 40), Bound(99, 0)]
        found = [
            index.known(bound).search(Query("salt mule", embedder=embedder), 9) for bound in bounds
        ]
        assert index.search(Query("salt mule", embedder=embedder), 9) == before
    assert found[0] == found[1] != []
    assert found[2] == []
    assert found[4] == before


def test_another_models_vectors_are_made_for_the_same_bound() -> None:
    with indexed(BOOKS[0]) as index, indexed(known_book(BOOKS[0], Bound(0, 700))) as known:
        for embedder in (FakeEmbedder("one"), FakeEmbedder("other", weight=0.2)):
            found = index.known(Bound(0, 700)).search(Query("salt", embedder=embedder), 9)
            assert found == known.search(Query("salt", embedder=embedder), 9)
