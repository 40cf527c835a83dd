"""How passages' readings become the answers of a whole book."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.confidence import RELEVANCE_WEIGHT, ChoiceModel, Confidence, MarginRule
from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading, Span, span_score
from squadlite.asking import PORTIONS, SPANS_PER_PASSAGE, Reply, ask, ask_in_steps
from squadlite.library.index import BookSource, ChapterInfo, Citation
from squadlite.library.query import Query
from squadlite.library.search import Passage
from squadlite.library.structure import PageStart

CHAPTER = "0123456789" * 20
LOOKS = tuple(accumulate(PORTIONS))


@dataclass
class FakeIndex:
    """A book of two chapters that always finds the same passages."""

    passages: list[Passage]
    title: str = "The Book"
    chapters: tuple[ChapterInfo, ...] = (
        ChapterInfo(0, "One", "1.xhtml"),
        ChapterInfo(1, "Two", "2.xhtml"),
    )
    related: Mapping[str, float] = field(default_factory=dict)
    embedder: object = None

    def search(self, query: Query, limit: int) -> list[Passage]:
        self.related, self.embedder = query.related, query.embedder
        return self.passages[:limit]

    def cite(self, passage: Passage) -> Citation:
        source = BookSource(passage.book, "book.epub") if passage.book else None
        return Citation(self.title, source, self.chapters[passage.chapter_index])


@dataclass
class FakeReader:
    """Reads every passage as it was told to."""

    readings: list[Reading]
    confidence: Confidence = field(default_factory=MarginRule)
    read_contexts: list[str] = field(default_factory=list)
    embedder: object = None

    @property
    def related_words(self) -> "FakeReader":
        return self

    def of(self, words: Sequence[str]) -> dict[str, float]:
        return {f"{word}like": 0.5 for word in words}

    def read(self, question: str, contexts: Sequence[str], *, n_best: int) -> list[Reading]:
        assert n_best == SPANS_PER_PASSAGE
        before = len(self.read_contexts)
        self.read_contexts += contexts
        return self.readings[before : before + len(contexts)]


def passage(start: int, end: int, *, chapter: int = 0, score: float = 1.0) -> Passage:
    return Passage(chapter, start, end, CHAPTER[start:end], score, score)


def reading(context: Passage, *spans: tuple[int, int, float]) -> Reading:
    found = (
        Span(context.text[start:end], start, end, span_score(margin), margin)
        for start, end, margin in spans
    )
    return Reading(tuple(found), 0.0)


def reply(
    found: list[Passage],
    readings: list[Reading],
    *,
    confidence: Confidence | None = None,
    **settings: Any,
) -> Reply:
    index, reader = FakeIndex(found), FakeReader(readings, confidence or MarginRule())
    return ask("Who?", index, cast(Reader, reader), **settings)


def test_an_answer_cites_its_place_in_the_chapter() -> None:
    place = passage(30, 60, chapter=1)
    (answer,) = reply([place], [reading(place, (5, 8, 2.0))]).answers
    assert (answer.start, answer.end) == (35, 38)
    assert CHAPTER[answer.start : answer.end] == answer.text == "567"
    assert (answer.book, answer.chapter.title, answer.chapter.href) == (
        "The Book",
        "Two",
        "2.xhtml",
    )
    assert (answer.passage.start, answer.passage.end) == (30, 60)
    assert answer.passage.text == place.text


def test_an_answer_cites_its_page_where_the_book_has_pages() -> None:
    pages = (PageStart("xi", 0), PageStart("12", 7))
    place = replace(passage(30, 60), pages=pages)
    (answer,) = reply([place], [reading(place, (5, 8, 2.0))]).answers
    assert answer.page == answer.places[0].page == "xi"
    (answer,) = reply([place], [reading(place, (7, 8, 2.0))]).answers
    assert answer.page == "12"
    (answer,) = reply([passage(30, 60)], [reading(place, (5, 8, 2.0))]).answers
    assert answer.page is None


def test_a_question_asked_in_steps_gives_the_best_so_far_after_each() -> None:
    found = [passage(start, start + 10) for start in range(0, 200, 10)]
    readings = [reading(place, (2, 5, 1.0 + number)) for number, place in enumerate(found)]
    steps = list(ask_in_steps("Who?", FakeIndex(found), cast(Reader, FakeReader(readings))))
    assert [step.reply.passages_read for step in steps] == [0, *LOOKS, 20]
    assert [step.is_last for step in steps] == [False, False, False, False, True]
    assert all(step.found == found for step in steps)
    assert [len(step.reply.answers) for step in steps] == [0, 1, 1, 1, 1]
    assert [len(answer.places) for step in steps for answer in step.reply.answers] == [*LOOKS, 20]
    last = steps[-1].reply
    assert replace(last, retrieve_ms=0, read_ms=0) == replace(
        reply(found, readings), retrieve_ms=0, read_ms=0
    )


@pytest.mark.parametrize(
    ("surest", "margin", "min_score", "passages_read"),
    [
        (0, 2.0, None, LOOKS[0]),
        (LOOKS[0], 2.0, None, LOOKS[1]),
        (LOOKS[1], 2.0, None, LOOKS[2]),
        (LOOKS[2], 2.0, None, 20),
        (0, 0.6, None, LOOKS[1]),  # for so few passages it must be surer
        (None, 0.0, None, 20),
        (0, 2.0, 0.9, 20),
    ],
)
def test_no_more_passages_are_read_than_it_takes_to_be_sure(
    surest: int | None, margin: float, min_score: float | None, passages_read: int
) -> None:
    found = [passage(start, start + 10) for start in range(0, 200, 10)]
    readings = [
        reading(place, (1, 3, margin if number == surest else -5.0))
        for number, place in enumerate(found)
    ]
    confidence = ChoiceModel({"margin": 1.0}, bias=0.0, slope=1.0, intercept=0.0, threshold=0.3)
    result = reply(found, readings, confidence=confidence, min_score=min_score)
    assert result.passages_read == passages_read
    assert (surest is None) == (result.score < confidence.sure(result.passages_read))
    assert (result.answer is None) == (surest is None or min_score is not None)


def test_a_book_without_passages_is_asked_in_one_step() -> None:
    (step,) = ask_in_steps("Who?", FakeIndex([]), cast(Reader, FakeReader([])))
    assert step.is_last
    assert step.reply.answers == ()


def test_the_book_does_not_say_when_the_model_prefers_no_answer() -> None:
    place = passage(0, 20)
    result = reply([place], [reading(place, (0, 3, -0.1))])
    assert result.answer is None
    assert len(result.answers) == 1
    assert result.score < 0.5 < result.null_score
    assert reply([place], [reading(place, (0, 3, 0.1))]).answer == "012"


@pytest.mark.parametrize("passages", [[], [passage(0, 0)]])
def test_a_book_without_anything_to_read_does_not_say(passages: list[Passage]) -> None:
    result = reply(passages, [Reading((), 0.0)] * len(passages))
    assert result.answer is None
    assert result.answers == ()
    assert result.score == 0.0


def test_of_equal_margins_the_more_promising_passage_wins() -> None:
    weak, strong = passage(0, 20, score=1.0), passage(40, 60, score=4.0)
    readings = [reading(weak, (0, 3, 2.0)), reading(strong, (0, 4, 2.0))]
    first, second = reply([weak, strong], readings).answers
    assert (first.text, second.text) == ("0123", "012")
    assert first.score == span_score(2.0)
    assert second.score == span_score(2.0 - 0.75 * RELEVANCE_WEIGHT)


def test_a_question_of_stop_words_is_judged_by_the_model_alone() -> None:
    first, second = passage(0, 20, score=0.0), passage(40, 60, score=0.0)
    readings = [reading(first, (0, 3, 1.0)), reading(second, (0, 4, 2.0))]
    assert reply([first, second], readings).answer == "0123"


def test_overlapping_passages_give_an_answer_once() -> None:
    first, second = passage(0, 30), passage(20, 50)
    readings = [reading(first, (22, 25, 1.0)), reading(second, (2, 5, 2.0))]
    (answer,) = reply([first, second], readings).answers
    assert (answer.start, answer.end) == (22, 25)
    assert answer.passage.start == 20


def test_no_answer_goes_on_in_another_paragraph() -> None:
    place = Passage(0, 0, 21, "Thief Bridge\n\nIt fell", 1.0, 1.0)
    found = reply([place], [reading(place, (0, 16, 3.0), (17, 21, 1.0))])
    assert [answer.text for answer in found.answers] == ["fell"]


def test_only_as_many_passages_are_read_as_asked_for() -> None:
    places = [passage(start, start + 10) for start in range(0, 90, 10)]
    reader = FakeReader([Reading((), 0.0)] * len(places))
    ask("Who?", FakeIndex(places), cast(Reader, reader), passages=3)
    assert reader.read_contexts == [place.text for place in places[:3]]


def test_the_search_is_told_the_words_that_the_model_takes_for_alike() -> None:
    index = FakeIndex([])
    ask("What did the lodger keep?", index, cast(Reader, FakeReader([])))
    assert index.related == {"lodgerlike": 0.5, "keeplike": 0.5}


def test_the_search_is_given_the_model_that_embeds() -> None:
    index, reader = FakeIndex([]), FakeReader([], embedder=object())
    ask("Who?", index, cast(Reader, reader))
    assert index.embedder is reader.embedder


def test_equal_answers_become_one_with_all_its_places_the_best_first() -> None:
    texts = ["In came the Rector.", "A rector, she said.", "“The Rector!”", "Nobody else."]
    places = [
        Passage(number % 2, 100 * number, 100 * number + len(text), text, 1.0, 1.0)
        for number, text in enumerate(texts)
    ]
    readings = [
        reading(places[0], (8, 18, 1.0)),  # the Rector
        reading(places[1], (0, 8, 2.0)),  # A rector
        reading(places[2], (0, 13, 0.5)),  # “The Rector!”
        reading(places[3], (0, 6, 1.5)),  # Nobody
    ]
    first, second = reply(places, readings).answers
    assert [place.text for place in first.places] == ["A rector", "the Rector", "“The Rector!”"]
    best = first.places[0]
    assert (first.text, first.chapter, first.start, first.end, first.passage) == (
        best.text,
        best.chapter,
        best.start,
        best.end,
        best.passage,
    )
    assert second.text == "Nobody"
    assert len(second.places) == 1


def test_a_fitted_model_adds_up_what_equal_answers_are_worth() -> None:
    places = [passage(10 * number, 10 * number + 10) for number in range(3)]
    margins = (1.5, 1.0, 1.0)  # "23" once, "45" twice
    spans = ((2, 4), (4, 6), (4, 6))
    readings = [
        reading(place, (start, end, margin))
        for place, (start, end), margin in zip(places, spans, margins, strict=True)
    ]
    model = ChoiceModel({"margin": 1.0}, bias=0.0, slope=1.0, intercept=0.0, threshold=0.5)
    result = reply(places, readings, confidence=model)
    everything = 1.0 + sum(map(math.exp, margins))
    assert [answer.text for answer in result.answers] == ["45", "23"]
    assert [answer.score for answer in result.answers] == pytest.approx(
        [2 * math.e / everything, math.exp(1.5) / everything]
    )
    assert reply(places, readings).answers[0].text == "23"


def test_the_threshold_is_the_models_or_the_one_asked_for() -> None:
    place = passage(0, 20)
    readings = [reading(place, (0, 3, 0.0))]
    model = ChoiceModel({}, bias=0.0, slope=1.0, intercept=0.0, threshold=0.4)
    assert reply([place], readings, confidence=model).answer == "012"
    assert reply([place], readings, confidence=model, min_score=0.6).answer is None
    assert reply([place], readings).answer is None
    assert reply([place], readings, min_score=0.4).answer == "012"


def test_the_scores_dont_depend_on_how_many_answers_are_asked_for() -> None:
    place = passage(0, 60)
    readings = [reading(place, *((start, start + 4, start / 9) for start in range(0, 50, 11)))]
    all_answers = reply([place], readings, top_k=9).answers
    assert reply([place], readings, top_k=2).answers == all_answers[:2]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.floats(-20, 20)), max_size=30),
    st.integers(1, 6),
    st.sampled_from([MarginRule(), ChoiceModel({"margin": 0.5, "log_places": 1.0}, -2, 2, 0, 0.3)]),
)
def test_answers_come_best_first_and_places_never_overlap(
    found: list[tuple[int, float]], top_k: int, confidence: Confidence
) -> None:
    places = [passage(10 * number, 10 * number + 10) for number, _ in found]
    readings = [
        reading(place, (2, 3 + number % 4, margin))
        for place, (number, margin) in zip(places, found, strict=True)
    ]
    result = reply(places, readings, top_k=top_k, passages=100, confidence=confidence)
    scores = [answer.score for answer in result.answers]
    assert scores == sorted(scores, reverse=True)
    assert len({answer.text for answer in result.answers}) == len(scores) <= top_k
    starts = [place.start for answer in result.answers for place in answer.places]
    assert len(set(starts)) == len(starts)
    assert {place.text for answer in result.answers for place in answer.places} == {
        answer.text for answer in result.answers
    }
    if top_k >= 4:
        assert len(starts) == len({number for number, _ in found[: result.passages_read]})


def test_the_same_words_in_two_books_are_two_answers() -> None:
    here, there = (Passage(0, 0, 20, CHAPTER[:20], 1.0, 1.0, book=number) for number in (1, 2))
    readings = [reading(here, (0, 3, 2.0)), reading(there, (0, 3, 1.0))]
    first, second = reply([here, there], readings).answers
    assert first.text == second.text
    assert (first.source, second.source) == (
        BookSource(1, "book.epub"),
        BookSource(2, "book.epub"),
    )
    assert len(first.places) == len(second.places) == 1
