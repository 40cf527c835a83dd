"""The layout of PDF pages: what order lines are read in, what is dropped, what is joined."""

import textwrap
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.pdf_joining import Hyphens, join_lines
from squadlite.library.pdf_layout import lay_out
from squadlite.library.pdf_page import Page, Piece
from squadlite.library.pdf_reading_order import Line
from squadlite.library.structure import PageStart

WORDS = (
    "the carrier of salt went over the pass in the autumn with her mule and the boy who could read "
    "and they came to the bridge where the thief took six marks from everyone that crossed but she "
    "would not pay and so they slept under the arch until the moon had gone and the dogs with it"
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
WIDTH = 0.5


def piece(text: str, *, x: float = 50, y: float = 0, size: float = 10, bold: bool = False) -> Piece:
    return Piece(text, x, x + len(text) * WIDTH * size, y, size, bold)


def column(text: str, *, x: float = 50, top: float = 100, columns: int = 60) -> list[Piece]:
    lines = textwrap.wrap(text, columns)
    return [piece(line, x=x, y=top + 12 * place) for place, line in enumerate(lines)]


def page(*pieces: Piece, label: str = "1") -> Page:
    return Page(label, pieces)


def texts(*pages: Page) -> list[str]:
    return [placed.block.text for placed in lay_out(list(pages))]


def book(count: int, *, head: str = "", foot: str = "") -> list[Page]:
    """Pages of text with a head and a foot; "#" in them is the page's number."""
    pages = []
    for number, word in enumerate(ORDINALS[:count], start=1):
        pieces = column(f"On the {word} day {WORDS} for the {word} time.")
        if head:
            pieces.insert(0, piece(head.replace("#", str(number)), y=50))
        if foot:
            pieces.append(piece(foot.replace("#", str(number)), x=200, y=700))
        pages.append(page(*pieces, label=str(number)))
    return pages


@pytest.mark.parametrize("order", ["columns", "lines", "backwards"])
def test_columns_are_read_one_after_the_other(order: str) -> None:
    left = column(f"One {WORDS}", columns=30)
    right = column(f"two {WORDS}", x=230, columns=30)
    across = [piece("A heading that goes across both of the columns on the page", x=60, y=80)]
    pieces = across + left + right
    if order == "lines":
        pieces.sort(key=lambda one: one.baseline)
    if order == "backwards":
        pieces.reverse()
    assert texts(page(*pieces)) == [across[0].text, f"One {WORDS} two {WORDS}"]


def test_a_line_across_the_columns_parts_what_is_above_from_what_is_below() -> None:
    pieces = [
        *column(f"One {WORDS}.", columns=30),
        *column(f"Two {WORDS}.", x=230, columns=30),
        piece("A line that goes across both of the columns of this page.", x=60, y=300),
        *column(f"Three {WORDS}.", top=330, columns=30),
        *column(f"Four {WORDS}.", x=230, top=330, columns=30),
    ]
    joined = " ".join(texts(page(*pieces)))
    places = [joined.index(word) for word in ("One the", "Two the", "A line", "Three the", "Four")]
    assert places == sorted(places)


def test_a_table_is_read_line_by_line() -> None:
    rows = [("Ada", "12 marks"), ("Rusk", "6 marks"), ("Thief", "1 mark"), ("Boy", "none"),
            ("Mule", "2 marks")]  # fmt: skip
    pieces = [
        cell
        for place, (name, sum_) in enumerate(rows)
        for cell in (piece(name, y=100 + 12 * place), piece(sum_, x=250, y=100 + 12 * place))
    ]
    joined = " ".join(" ".join(texts(page(*pieces))).split())
    assert joined.startswith("Ada 12 marks Rusk 6 marks Thief 1 mark")


@pytest.mark.parametrize(
    ("head", "foot"),
    [("THE SALT ROAD", "#"), ("# THE SALT ROAD", ""), ("The Salt Road    #", ""), ("", "- # -"),
     ("", "Page # of 9"), ("A. Writer", "#")],
)  # fmt: skip
def test_running_heads_and_page_numbers_are_dropped(head: str, foot: str) -> None:
    assert texts(*book(6, head=head, foot=foot)) == texts(*book(6))


def test_the_first_line_of_a_page_is_no_running_head() -> None:
    pages = book(5)
    joined = " ".join(texts(*pages))
    assert all(f"On the {word} day" in joined for word in ORDINALS[:5])


@pytest.mark.parametrize("letter", ["ı", "İ"])
def test_a_letter_that_is_like_a_numeral_but_for_its_case_is_no_page_number(letter: str) -> None:
    assert texts(page(piece(f"{letter} vardı", y=50), *column(WORDS)))[0].startswith(letter)


def test_the_numbers_of_chapters_are_no_page_numbers() -> None:
    pages = [
        page(piece(f"CHAPTER {number}", y=50), *column(f"On day {number} {WORDS}."))
        for number in (1, 3, 5, 9)
    ]
    assert [text for text in texts(*pages) if "CHAPTER" in text] == [
        "CHAPTER 1", "CHAPTER 3", "CHAPTER 5", "CHAPTER 9",
    ]  # fmt: skip


def test_a_word_is_put_together_again_as_the_book_has_it_elsewhere() -> None:
    lines = [
        "a well-known carrier of salt and her lantern went over",
        "the pass, so that her well-known lantern was for a well-",
        "known sign, and everyone knew the sign of the old lan-",
        "tern, though nobody knew her own thoughts of the trou-",
        "bles of the year 1900 and of the very thin Anglo-",
        "Saxons who had come before the others over the pass.",
    ]
    pieces = [piece(line, y=100 + 12 * place) for place, line in enumerate(lines)]
    (text,) = texts(page(*pieces))
    assert "for a well-known sign" in text
    assert "old lantern, though" in text
    assert "troubles of" in text
    assert "Anglo-Saxons" in text


def test_a_paragraph_of_very_many_lines_is_copied_once() -> None:
    lines = [
        Line("some words of a line that hyph-", 50, 200, 12.0 * place, 10, False, 0, 0, 50, 200)
        for place in range(40_000)
    ]
    started = time.monotonic()
    block = join_lines(lines, 0, Hyphens(lines), [page()])
    assert block.text == "some words of a line that hyph" * 40_000 + "-"
    assert time.monotonic() - started < 15


def test_a_dash_at_the_end_of_a_line_stays_without_spaces() -> None:
    lines = ["The carrier of salt would have stayed there all the year—", "but she went."]
    pieces = [piece(line, y=100 + 12 * place) for place, line in enumerate(lines)]
    assert texts(page(*pieces)) == ["".join(lines)]


def test_paragraphs_begin_at_indents() -> None:
    first, second = column(f"First {WORDS}."), column(f"Second {WORDS}.", top=160)
    indented = [
        Piece(row.text, row.left + 15, row.right, row.baseline, row.size, row.bold)
        if row in (first[0], second[0])
        else row
        for row in first + second
    ]
    assert texts(page(*indented)) == [f"First {WORDS}.", f"Second {WORDS}."]


def test_paragraphs_begin_behind_gaps() -> None:
    pieces = column(f"First {WORDS}") + column(f"second {WORDS}.", top=172)
    assert texts(page(*pieces)) == [f"First {WORDS}", f"second {WORDS}."]


def test_verse_keeps_its_lines() -> None:
    verse = ["The salt is white,", "the road is long,", "the mule is old,", "and so the song."]
    pieces = column(f"First {WORDS}.")
    pieces += [piece(line, x=80, y=200 + 12 * place) for place, line in enumerate(verse)]
    assert texts(page(*pieces))[-1] == "\n".join(verse)


def test_a_paragraph_goes_on_overleaf_and_says_where() -> None:
    rows = column(f"First {WORDS}.")
    first, second = page(*rows[:3], label="xi"), page(*rows[3:], label="xii")
    (placed,) = lay_out([first, second])
    assert placed.block.text == f"First {WORDS}."
    start = placed.block.pages[1].start
    assert placed.block.pages == (PageStart("xi", 0), PageStart("xii", start))
    assert placed.block.text[start:].startswith(rows[3].text)


def test_a_note_at_the_foot_comes_after_the_paragraph_that_goes_on_overleaf() -> None:
    rows = column(f"First {WORDS}.")
    note = piece("1. Salt was taxed from then on.", y=600, size=8)
    assert texts(page(*rows[:3], note), page(*rows[3:], label="2")) == [
        f"First {WORDS}.",
        note.text,
    ]


def test_the_large_first_letter_of_a_chapter_belongs_to_its_word() -> None:
    rows = column(f"nce {WORDS}.")
    beside = [
        Piece(row.text, row.left + 22, row.right + 22, row.baseline, row.size, row.bold)
        for row in rows[:3]
    ]
    initial = Piece("O", 50, 70, beside[2].baseline, 34, False)
    assert texts(page(initial, *beside, *rows[3:])) == [f"Once {WORDS}."]


def test_larger_and_bold_lines_are_headings_by_rank() -> None:
    pieces = [
        piece("The Salt Road", y=50, size=24),
        piece("The Well", y=100, size=16),
        *column(f"First {WORDS}.", top=150),
        piece("Of wells", y=260, bold=True),
        *column(f"Second {WORDS}.", top=300),
    ]
    levels = [placed.block.level for placed in lay_out([page(*pieces)])]
    assert levels == [1, 2, 0, 3, 0]


def test_ligatures_are_letters() -> None:
    assert texts(page(piece("The oﬃcer’s ﬁrst ﬂight"))) == ["The officer’s first flight"]


numbers = st.floats(-1e4, 1e4, allow_nan=False)


@given(
    st.lists(
        st.lists(
            st.builds(
                Piece, st.text(min_size=1, max_size=8), numbers, numbers, numbers,
                st.floats(0.1, 100), st.booleans(),
            ),
            max_size=25,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_pieces_give_blocks_whose_pages_stand_in_order(pages: list[list[Piece]]) -> None:
    made = [Page(str(number), tuple(pieces)) for number, pieces in enumerate(pages)]
    for placed in lay_out(made):
        starts = [start.start for start in placed.block.pages]
        assert starts[0] == 0
        assert all(before < after for before, after in pairwise(starts))
        assert starts[-1] < len(placed.block.text)
