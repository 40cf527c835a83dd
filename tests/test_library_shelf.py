"""A shelf: the right books found first, their passages ranked as those of one book."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squadlite.errors import LibraryError
from squadlite.library.bound import Bound
from squadlite.library.index import BookIndex, BookSource
from squadlite.library.library import Library
from squadlite.library.query import Query
from squadlite.library.shelf import BOOKS_SEARCHED

SALT_ROAD = Path(__file__).parent / "books" / "the-salt-road.epub"
N_BOOKS = BOOKS_SEARCHED + 8


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The Salt Road among more books than a search looks into."""
    folder = tmp_path_factory.mktemp("shelf")
    for number in range(N_BOOKS - 1):
        text = f"Keeper number{number} carried salt over the bridge and paid the toll. " * 60
        (folder / f"{number:02}.txt").write_text(f"Book {number}\n\n{text}", encoding="utf-8")
    with Library(folder / "library.db") as library:
        library.add([SALT_ROAD, folder])
        library.add_vectors(FakeEmbedder())
        yield library


@pytest.mark.parametrize("by_vectors", [False, True])
def test_one_book_of_a_library_answers_as_it_does_alone(
    library: Library, tmp_path: Path, by_vectors: bool
) -> None:
    embedder = FakeEmbedder() if by_vectors else None
    question = "What did Rusk ask for instead of the toll?"
    with library.shelf([1]) as shelf, BookIndex.open(SALT_ROAD, cache_dir=tmp_path) as alone:
        found = shelf.search(Query(question, embedder=embedder), 9)
        expected = alone.search(Query(question, embedder=embedder), 9)
        for passage, same in zip(found, expected, strict=True):
            assert {**vars(passage), "book": 0} == vars(same)
            citation, of_same = shelf.cite(passage), alone.cite(same)
            assert citation.source == BookSource(1, str(SALT_ROAD))
            assert (citation.book, citation.chapter) == (of_same.book, of_same.chapter)


@pytest.mark.parametrize("number", [0, 7, N_BOOKS - 2])
def test_the_book_with_the_questions_words_is_found_among_many(
    library: Library, number: int
) -> None:
    with library.shelf() as shelf:
        (best,) = shelf.search(Query(f"Who met number{number} on the bridge?"), 1)
        assert shelf.cite(best).source == BookSource(
            best.book, library.find(f"{best.book}").paths[0].as_posix()
        )
        assert f"number{number}" in best.text
        assert len(shelf._open) == BOOKS_SEARCHED


def test_only_the_books_asked_for_are_searched(library: Library) -> None:
    with library.shelf([3, 5]) as shelf:
        found = shelf.search(Query("Who paid the toll with salt?", embedder=FakeEmbedder()), 50)
        assert {passage.book for passage in found} == {3, 5}
    with pytest.raises(LibraryError, match="book 999"):
        library.shelf([3, 999])


@given(question=st.text(max_size=40), limit=st.integers(1, 40))
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_can_be_searched(library: Library, question: str, limit: int) -> None:
    with library.shelf() as shelf:
        found = shelf.search(Query(question, embedder=FakeEmbedder()), limit)
        assert 0 < len(found) <= limit
        scores = [passage.score for passage in found]
        assert scores == sorted(scores, reverse=True)


def test_vectors_that_a_book_lacks_are_made_and_kept(library: Library) -> None:
    library._database.write("DELETE FROM vectors WHERE book IN (2, 3)")
    embedder = FakeEmbedder()
    steps: list[tuple[int, int]] = []
    with library.shelf([2, 4], progress=lambda *step: steps.append(step)) as shelf:
        shelf.search(Query("salt", embedder=embedder), 5)
        assert steps[-1][0] == steps[-1][1] == library.find("2").passages
        assert library.find("2").vectors == embedder.digest
        assert library.find("3").vectors is None
        n_embedded = len(embedder.embedded)
        shelf.search(Query("salt", embedder=embedder), 5)
        assert len(embedder.embedded) == n_embedded + 1  # the question


def test_a_book_that_is_removed_meanwhile_is_passed_over(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"The salt of {name}.", encoding="utf-8")
    with Library(tmp_path / "library.db") as library:
        library.add([tmp_path])
        with library.shelf() as shelf:
            library.remove(1)
            assert {passage.book for passage in shelf.search(Query("salt"), 5)} == {2}
            assert {
                passage.book for passage in shelf.search(Query("salt", embedder=FakeEmbedder()), 5)
            } == {2}
        with library.shelf() as shelf:
            (passage,) = shelf.search(Query("salt"), 1)
            shelf.close()
            library.remove(2)
            with pytest.raises(LibraryError, match="removed meanwhile"):
                shelf.cite(passage)
            assert shelf.search(Query("salt", embedder=FakeEmbedder()), 5) == []


def test_a_book_of_which_nothing_is_known_says_nothing(tmp_path: Path) -> None:
    with Library(tmp_path / "library.db") as library:
        library.add([SALT_ROAD])
        library.read(1, Bound(0, 0))
        assert library.find("1").known_passages == 0
        with library.shelf() as shelf:
            for embedder in (None, FakeEmbedder()):
                assert shelf.search(Query("What did Rusk ask for?", embedder=embedder), 5) == []
