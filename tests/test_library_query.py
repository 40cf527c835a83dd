"""Queries: what is looked for of a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.query import query_words


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What colour is Rusk's hair?", ["colour", "rusk", "hair"]),
        ("What colour is Rusk’s hair?", ["colour", "rusk", "hair"]),
        ("Why didn't the well-known man go?", ["well", "known", "man", "go"]),
        ("WHO said “Curiouser AND curiouser” NOT once?", ["said", "curiouser", "once"]),
        ("Wie heißt Zoë Müller?", ["wie", "heißt", "zoë", "müller"]),
        ("who was it", ["who", "was", "it"]),
        ("salt salt SALT", ["salt"]),
        ('" * ( ) : ^ - + NEAR/', ["near"]),
        ("", []),
        ("?!", []),
    ],
)  # fmt: skip
def test_the_telling_words_of_a_question(question: str, words: list[str]) -> None:
    assert query_words(question) == words


@given(st.text())
def test_any_text_gives_words(question: str) -> None:
    words = query_words(question)
    assert len(set(words)) == len(words)
    assert all(words)
