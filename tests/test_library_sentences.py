"""Sentences: where they end, and where a stop ends nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One.", "Two!", "Three?", "Four…", "Five"],
        ["Mr. Holmes met Dr. Roylott at St. Pancras.", "They left."],
        ["H. G. Wells wrote it at 3 p.m. on a Monday.", "It sold."],
        ["He came from the U.S. Army.", "She did not."],
        ["“No.”", "She turned.", "“Never!”"],
        ["“What?” said he.", "“Nothing!” cried she."],
        ["See No. 17 in vol. 3 of it.", "I said no.", "Then I left."],
        ["It was I.", "Nobody else."],
        ["He waited … and waited.", "Then … nothing came."],
        ["(It rained.)", "[So it did.]", "«Vraiment?»", "Oui."],
        ["It cost 3.50 marks at www.example.com today.", "Cheap."],
    ],
)
def test_a_text_of_sentences_is_cut_into_them(expected: list[str]) -> None:
    found = sentences(" ".join(expected))
    assert found == expected


def test_a_blank_line_ends_a_sentence_and_a_line_break_does_not() -> None:
    assert sentences("A title\n\nTwas brillig, and\nthe slithy toves") == [
        "A title",
        "Twas brillig, and\nthe slithy toves",
    ]


def test_chinese_and_japanese_sentences_need_no_space() -> None:
    assert sentences("吾輩は猫である。名前はまだ無い。「何?」") == [
        "吾輩は猫である。",
        "名前はまだ無い。",
        "「何?」",
    ]


@given(st.text())
def test_any_text_is_covered_in_order_without_overlap(text: str) -> None:
    position = 0
    for start, end in split_sentences(text):
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        position = end
    assert not text[position:].strip()


def test_a_long_row_of_stops_is_gone_through_once() -> None:
    started = time.monotonic()
    assert sentences(f"Wait {'.' * 100_000}what?") == [f"Wait {'.' * 100_000}what?"]
    assert time.monotonic() - started < 10
