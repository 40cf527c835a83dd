"""Books searched together are searched as one."""

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st

from squadlite.library.index import BookIndex
from squadlite.library.query import Query
from squadlite.library.search import search_books
from squadlite.library.structure import Book, Chapter

TEXT = """
salt mule bridge toll goat tarn powder sledge lamp keeper winter letter
"""
WORDS = TEXT.split()


def chapter(index: int, seed: int, sentences: int = 60) -> Chapter:
    generator = np.random.default_rng(seed)
    text = " ".join(
        " ".join(generator.choice(WORDS, 9)).capitalize() + "." for _ in range(sentences)
    )
    return Chapter(index, f"Chapter {seed}", "", text)


def index_of(*seeds: int) -> BookIndex:
    chapters = tuple(chapter(number, seed) for number, seed in enumerate(seeds))
    return BookIndex.build(Book("Title", "", "", chapters))


@given(
    question=st.lists(st.sampled_from([*WORDS, "who", "nobody"]), min_size=1, max_size=4),
    limit=st.integers(1, 20),
    by_vectors=st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_two_books_are_ranked_as_one_of_all_their_chapters(
    question: list[str], limit: int, by_vectors: bool
) -> None:
    embedder = FakeEmbedder() if by_vectors else None
    with index_of(1, 2, 3) as whole, index_of(1, 2) as first, index_of(3) as second:
        books = {7: first.known(None), 4: second.known(None)}
        asked = " ".join(question)
        together = search_books(
            books, Query(asked, related={"lamp": 0.3}, embedder=embedder), limit
        )
        expected = whole.search(Query(asked, related={"lamp": 0.3}, embedder=embedder), limit)
    chapters_before = {7: 0, 4: 2}
    assert [
        (chapters_before[found.book] + found.chapter_index, found.start, found.text, found.score)
        for found in together
    ] == [(found.chapter_index, found.start, found.text, found.score) for found in expected]


def test_a_limit_below_one_is_refused() -> None:
    with index_of(1) as book, pytest.raises(ValueError, match="limit"):
        search_books({1: book.known(None)}, Query("salt"), 0)
