"""Whole questions with a bound: no answer, place, passage, chapter or score from behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given, settings
from test_library_bound import QUESTIONS, books_and_bounds, indexed, known_book
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.confidence import ChoiceModel
from squadlite.answering.embedder import Embedder
from squadlite.answering.reader import Reader
from squadlite.answering.tokenizer import Tokenizer
from squadlite.asking import Reply, ask
from squadlite.library.book import open_book
from squadlite.library.bound import Bound
from squadlite.library.index import BookIndex
from squadlite.library.structure import Book
from squadlite.model import TorchScorer
from squadlite.models import DEFAULT_MODEL

SALT_ROAD = Path(__file__).parent / "books" / "the-salt-road.epub"
ALL_PAIRS = 10_000
EMBEDDER = FakeEmbedder(weight=0.5)


@pytest.fixture(scope="module")
def reader() -> Reader:
    """A model that finds answers anywhere, and weighs all that is known of them."""
    spec = tiny_spec()
    config = tiny_config(vocab_size=len(spec.vocab), max_position_embeddings=64)
    weights = {"margin": 0.3, "relevance": 1.0, "log_rank": -0.2, "cosine": 1.0, "log_places": 0.5}
    return Reader(
        TorchScorer(random_model(config)),
        Tokenizer(spec),
        threads=1,
        embedder=cast(Embedder, EMBEDDER),
        confidence=ChoiceModel(weights, bias=-1, slope=1, intercept=0, threshold=0.2),
    )


def untimed(reply: Reply) -> Reply:
    return replace(reply, retrieve_ms=0, read_ms=0)


def check_that_nothing_leaks(reply: Reply, book: Book, bound: Bound) -> None:
    for answer in reply.answers:
        for place in (answer, *answer.places):
            chapter = book.chapters[place.chapter.index]
            known = chapter.text[: None if chapter.index < bound.chapter else bound.end]
            assert chapter.index <= bound.chapter
            assert place.end <= place.passage.end <= len(known)
            assert known[place.start : place.end] == place.text
            assert known[place.passage.start : place.passage.end] == place.passage.text


@settings(deadline=None, max_examples=60)
@given(books_and_bounds(), QUESTIONS)
def test_a_reply_with_a_bound_is_that_of_a_book_that_ends_there(
    reader: Reader, book_and_bound: tuple[Book, Bound], question: str
) -> None:
    book, bound = book_and_bound
    with indexed(book) as whole, indexed(known_book(book, bound)) as known:
        reply = ask(question, whole.known(bound), reader, top_k=99, passages=3)
        assert untimed(reply) == untimed(ask(question, known, reader, top_k=99, passages=3))
        check_that_nothing_leaks(reply, book, bound)


def random_bounds(book: Book, number: int, random: np.random.Generator) -> Iterator[Bound]:
    """Anywhere in the text, its begin and end and those of chapters a little more often."""
    ends = np.cumsum([len(chapter.text) for chapter in book.chapters])
    for place in random.integers(0, ends[-1] + 1, number).tolist():
        chapter = int(np.searchsorted(ends, place))
        length = len(book.chapters[chapter].text)
        inside = place - int(ends[chapter]) + length
        yield Bound(chapter, int(random.choice([0, length, *[inside] * 8])))


def random_question(book: Book, random: np.random.Generator) -> str:
    """The words of one place of the book, known or not."""
    words = book.chapters[random.integers(len(book.chapters))].text.split()
    start = random.integers(len(words))
    asked = random.choice(["Who", "What", "Where did", "When was"])
    return f"{asked} {' '.join(words[start : start + random.integers(2, 8)])}?"


def check_random_pairs(
    path: Path, reader: Reader, *, bounds: int, questions: int, seed: int
) -> None:
    """Ask so many questions at each of so many bounds; compare one of them with the known book."""
    random = np.random.default_rng(seed)
    book = open_book(path)
    with indexed(book) as whole:
        for bound in random_bounds(book, bounds, random):
            EMBEDDER.embedded.clear()  # a gigabyte of texts after some thousand bounds
            asked = [random_question(book, random) for _ in range(questions)]
            known = whole.known(bound)
            replies = [ask(question, known, reader, top_k=99, passages=2) for question in asked]
            for reply in replies:
                check_that_nothing_leaks(reply, book, bound)
            with indexed(known_book(book, bound)) as ended:
                expected = ask(asked[0], ended, reader, top_k=99, passages=2)
                assert untimed(replies[0]) == untimed(expected)


def test_nothing_leaks_out_of_a_real_book(shared: Path, reader: Reader) -> None:
    path = shared / "books" / "the-time-machine.epub"
    check_random_pairs(path, reader, bounds=8, questions=3, seed=0)


@pytest.mark.slow
def test_ten_thousand_random_pairs_leak_nothing(shared: Path, reader: Reader) -> None:
    books = sorted((shared / "books").glob("*.epub"))
    questions = 5
    bounds = -(-ALL_PAIRS // (len(books) * questions))
    for seed, path in enumerate(books):
        check_random_pairs(path, reader, bounds=bounds, questions=questions, seed=seed)


def test_the_default_model_answers_as_from_a_book_that_ends_there() -> None:
    book = open_book(SALT_ROAD)
    reader = Reader.load(DEFAULT_MODEL, compute="auto")
    bounds: Sequence[Bound] = (Bound(1, 900), Bound(3, len(book.chapters[3].text)))
    with BookIndex.open(SALT_ROAD) as whole:
        for bound in bounds:
            question = "What did Rusk ask for instead of the toll?"
            reply = ask(question, whole.known(bound), reader, top_k=99)
            with indexed(known_book(book, bound)) as known:
                expected = ask(question, known, reader, top_k=99)
            check_that_nothing_leaks(reply, book, bound)
            assert [answer.places for answer in reply.answers] == [
                answer.places for answer in expected.answers
            ]
            assert [answer.score for answer in reply.answers] == pytest.approx(
                [answer.score for answer in expected.answers], abs=1e-4
            )
        assert reply.answer == "a hatful of salt"
