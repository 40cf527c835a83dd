"""Passages: their size, their borders, and that they lose nothing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.passages import split_passages
from squadlite.library.sentences import split_sentences

WORDS = st.text("abc.,!?“” \n", max_size=12)
TEXTS = st.lists(WORDS, max_size=80).map(" ".join)
SIZES = st.tuples(st.integers(1, 12), st.integers(0, 12), st.integers(0, 11)).map(
    lambda sizes: {
        "min_words": sizes[0],
        "max_words": sizes[0] + sizes[1],
        "overlap_words": min(sizes[2], sizes[0] - 1),
    }
)


@given(TEXTS, SIZES)
def test_every_word_is_in_a_passage_and_none_is_too_long(text: str, sizes: dict[str, int]) -> None:
    passages = split_passages(text, **sizes)
    position = 0
    for start, end in passages:
        assert not text[position:start].strip()
        assert end > position
        assert len(text[start:end].split()) <= sizes["max_words"]
        position = end
    assert not text[position:].strip()


@given(TEXTS, SIZES)
def test_passages_begin_and_end_with_sentences(text: str, sizes: dict[str, int]) -> None:
    sentences = split_sentences(text)
    if any(len(text[start:end].split()) > sizes["max_words"] for start, end in sentences):
        return
    starts, ends = {start for start, _ in sentences}, {end for _, end in sentences}
    for start, end in split_passages(text, **sizes):
        assert start in starts
        assert end in ends


def test_a_passage_ends_with_a_paragraph_where_it_can() -> None:
    paragraph = "One two three four five. " * 5
    text = "\n\n".join([paragraph.strip()] * 4)
    passages = split_passages(text, min_words=20, max_words=40, overlap_words=0)
    assert [text[start:end].count("\n\n") for start, end in passages] == [0, 0, 0, 0]
    assert len(passages) == 4


def test_neighbours_share_whole_sentences_up_to_the_overlap() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(40))
    passages = split_passages(text, min_words=30, max_words=40, overlap_words=10)
    for (_, end), (start, _) in itertools.pairwise(passages):
        assert len(text[start:end].split()) == 10


def test_a_sentence_beyond_all_bounds_is_cut_between_words() -> None:
    text = "word " * 1000
    passages = split_passages(text, min_words=150, max_words=200)
    assert all(len(text[start:end].split()) <= 200 for start, end in passages)
    assert all(text[start:end].startswith("word") for start, end in passages)
    assert len(passages) == 5


@pytest.mark.parametrize("text", ["猫" * 5000, "x" * 20_000])
def test_text_without_spaces_makes_no_endless_passage(text: str) -> None:
    assert all(end - start <= 200 * 40 for start, end in split_passages(text))
    assert "".join(text[start:end] for start, end in split_passages(text)) == text


def test_empty_text_has_no_passages() -> None:
    assert split_passages("") == split_passages(" \n ") == []


@pytest.mark.parametrize("sizes", [(0, 10, 0), (10, 9, 0), (10, 20, 10), (10, 20, -1)])
def test_sizes_that_cannot_be_met_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected 0 < min_words"):
        split_passages("x", min_words=sizes[0], max_words=sizes[1], overlap_words=sizes[2])
