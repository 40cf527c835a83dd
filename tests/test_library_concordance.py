"""The concordance: SQLite's full-text index of the same passages is its measure."""

import sqlite3
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.errors import BookIndexError
from squadlite.library import concordance
from squadlite.library.concordance import Concordance, Stemmer

Places = dict[str, dict[int, list[int]]]

PASSAGES = st.lists(
    st.text("abé\u0301İß猫19'’-—.,_ \n\u00a0\u2028", max_size=40) | st.text(max_size=20), max_size=8
)


def places_by_sqlite(passages: list[str]) -> Places:
    connection = sqlite3.connect(":memory:")
    connection.executescript(concordance._SCHEMA)
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(passages))
    places: Places = {}
    for term, passage, position in connection.execute("SELECT term, doc, offset FROM terms"):
        places.setdefault(term, {}).setdefault(passage, []).append(position)
    connection.close()
    return places


@given(PASSAGES)
def test_every_term_is_where_full_text_search_finds_it(passages: list[str]) -> None:
    passages = [text.replace("\0", "") for text in passages]
    collected = Concordance()
    for text in passages:
        collected.add(text.split())
    starts, entries = collected.entries()
    assert len(starts) == len(passages) + 1
    found: Places = {}
    for entry in entries:
        by_passage = found.setdefault(entry.term, {})
        for place in entry.places.tolist():
            passage = int((starts <= place).sum()) - 1
            by_passage.setdefault(passage, []).append(place - int(starts[passage]))
        assert entry.passages == len(by_passage)
    assert found == places_by_sqlite(passages)
    assert list(found) == sorted(found)


def test_no_term_reaches_over_whitespace() -> None:
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert Stemmer().terms([f"salt{space}road" for space in spaces]) == [["salt", "road"]] * len(
        spaces
    )


def test_a_stemmer_forgets_what_it_was_asked_before() -> None:
    stemmer = Stemmer()
    assert stemmer.terms(["Mules", "--", "salt-carrier’s"]) == [
        ["mule"],
        [],
        ["salt", "carrier", "s"],
    ]
    assert stemmer.terms(["Crème"]) == [["creme"]]
    assert stemmer.terms([]) == []


def test_a_sqlite_without_full_text_search_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concordance, "_SCHEMA", "CREATE VIRTUAL TABLE x USING fts99(text)")
    with pytest.raises(BookIndexError, match="no such module"):
        Stemmer()
