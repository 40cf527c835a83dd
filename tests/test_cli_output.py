"""How text is laid out for a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.cli.output import cells, print_table, wrapped


def lines(text: str, columns: int) -> list[str]:
    return [text[start:end] for start, end in wrapped(text, columns)]


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("", 9, [""]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 6, ["one", "two", "three"]),
        ("  one  two", 10, ["  one  two"]),
        ("one\n\ntwo", 9, ["one", "", "two"]),
        ("a lighthouse", 6, ["a", "lighth", "ouse"]),
        ("a lighthouse keeper", 6, ["a", "lighth", "ouse", "keeper"]),
        ("灯台守の 娘", 4, ["灯台", "守の", "娘"]),
        ("灯台", 1, ["灯", "台"]),
        ("cafe\u0301 au lait", 7, ["cafe\u0301 au", "lait"]),
    ],
)
def test_lines_end_between_words_where_they_can(
    text: str, columns: int, expected: list[str]
) -> None:
    assert lines(text, columns) == expected


@given(st.text("ab 灯\u0301\n", max_size=40), st.integers(2, 12))
def test_no_line_is_too_long_and_no_word_lost(text: str, columns: int) -> None:
    found = lines(text, columns)
    assert "".join("".join(found).split()) == "".join(text.split())
    # White space before a line's first word stays, however much.
    assert all(cells(line.lstrip()) <= columns for line in found)
    assert len(found) > text.count("\n")


def test_a_row_of_a_table_is_one_line_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["Book", "File"], [["1", "/books/a\nnovel\x1b.txt"]])
    assert capsys.readouterr().out.splitlines() == [
        "Book  File",
        "   1  /books/a\\nnovel\\x1b.txt",
    ]
