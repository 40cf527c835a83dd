r"""RTF documents: characters in many writings, headings, notes, and groups that are passed over."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.errors import BookError, BrokenBookError
from squadlite.library import rtf
from squadlite.library.book import open_book
from squadlite.library.rtf import read_rtf

PROSE = "Once upon a time there was a carrier of salt, and this is her story. " * 6
STYLES = (
    r"{\stylesheet{\s0 Normal;}{\s1\sbasedon0\outlinelevel0 Kapitel;}{\s2\sbasedon1 Mine;}"
    r"{\s3 heading 2;}{\s8\sbasedon9 A;}{\s9\sbasedon8 B;}{\*\cs7 Strong;}}"
)


def text_of(body: str, *, head: str = r"\ansi\ansicpg1252\uc1") -> str:
    data = ("{\\rtf1" + head + body + "}").encode("latin-1")
    return "\n--\n".join(chapter.text for chapter in read_rtf(Path("x.rtf"), data).chapters)


def test_headings_make_the_chapters_and_the_info_names_the_book(tmp_path: Path) -> None:
    path = tmp_path / "x.rtf"
    path.write_text(
        r"{\rtf1\ansi\deflang2057"
        + STYLES
        + r"{\info{\title The {\b Salt} Road}{\author A. Writer}"
        r"{\operator Nobody}{\creatim\yr2001}}"
        rf"\pard\s1 The Well\par\pard {PROSE}\par"
        rf"\pard\s2 The Pass\par\pard {PROSE}\par"
        rf"\pard\outlinelevel0 The Sea\par\pard\s8 {PROSE}\par"
        r"}"
    )
    book = open_book(path)
    assert (book.title, book.author, book.language) == ("The Salt Road", "A. Writer", "en-GB")
    assert [chapter.title for chapter in book.chapters] == ["The Well", "The Pass", "The Sea"]
    assert book.chapters[0].text == f"The Well\n\n{PROSE.strip()}"


def test_a_heading_is_known_by_the_name_of_its_style() -> None:
    body = rf"\pard\s3 One\par\pard {PROSE}\par\pard\s3 Two\par\pard {PROSE}\par"
    assert text_of(STYLES + body).split("\n--\n")[1].startswith("Two")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"caf\'e9 \u8364?5 na\u239\'efve", "café €5 naïve"),
        (r"\uc0\u8212 no fallback", "—no fallback"),
        (r"{\uc2\u8212\'81\'5c}x", "—x"),
        (r"\u-10178?\u-8766?", "🧂"),
        (r"half \u-10178?a character", "half a character"),
        (r"\ldblquote Salt\rdblquote\emdash\~\lquote x\rquote  \bullet", "“Salt”— ‘x’ •"),
        (r"well\_known\-s a\\b \{c\}", r"well-knowns a\b {c}"),
        ("one\\\ntwo\r\nthr\nee", "one\n\ntwothree"),
        (r"one\line two\tab three", "one\ntwo three"),
        (r"seen {\v hidden}{\deleted gone}text\v  more\v0  end", "seen text end"),
        (r"{\f1\'f1\'ee\'eb\'fc} {\f2\'89\'96} \'e9", "соль 塩 é"),
        (r"{\field{\*\fldinst HYPERLINK x}{\fldrslt the well}}", "the well"),
        (r"{\pict\pngblip 89504e47}{\*\unknown\b rubbish}{\header Head}text", "text"),
        (r"{\bkmkstart here}text{\*\bkmkend here}", "text"),
        (r"{\listtext 1.\tab}first", "first"),
        ("a\\bin3 {{}b", "ab"),
        (r"Ada\cell\cell 12 marks\cell\row Rusk\cell 6 marks\cell\row",
         "Ada | 12 marks\n\nRusk | 6 marks"),
        (r"Salt{\super\chftn}{\footnote\pard\chftn  A note.{\footnote deeper}} is dear.\par More.",
         "Salt is dear.\n\nA note.\n\nMore."),
        (r"Salt{\*\footnote A note.} is dear.", "Salt is dear.\n\nA note."),
        (r"{\upr{ansi}{\*\ud{unicode}}}text", "text"),
        (r"more } closed {\i than} open }}}} text", "more closed than open text"),
        (r"{never {closed", "never closed"),
        (r"\ansicpg99999\'e9 \ansicpg1251\'e9", "é й"),
        (r"\s-5\f9999999999\uc-1\outlinelevel99 odd numbers", "odd numbers"),
    ],
)  # fmt: skip
def test_what_a_document_says(body: str, text: str) -> None:
    fonts = r"{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}{\f2\fcharset128 C;}}"
    assert text_of(fonts + body) == text


def test_a_document_may_end_anywhere() -> None:
    data = (r"{\rtf1 {\fonttbl{\f0 A;}}\pard the salt {\b road}\'e9\u233?\par " + "\\").encode()
    for end in range(len(data)):
        try:
            read_rtf(Path("x.rtf"), data[:end])
        except BrokenBookError:
            assert b"the" not in data[:end]


def test_the_character_set_is_the_documents() -> None:
    assert text_of(r"\'8e", head=r"\mac") == "é"
    assert text_of(r"\'82", head=r"\pc") == "é"
    assert text_of("\\'c3\\'a9", head=r"\ansi\ansicpg65001") == "é"


def test_a_document_without_text_is_broken(tmp_path: Path) -> None:
    for content in (r"{\rtf1}", r"{\rtf1 {\pict 00}}", "{\\rtf"):
        (tmp_path / "x.rtf").write_text(content)
        with pytest.raises(BrokenBookError, match="no text in the document"):
            open_book(tmp_path / "x.rtf")


def test_groups_nested_too_deep_are_refused() -> None:
    assert text_of("{" * 5_000 + "deep" + "}" * 5_000) == "deep"
    with pytest.raises(BrokenBookError, match=f"more than {rtf.MAX_DEPTH} deep"):
        text_of("{" * 2 * rtf.MAX_DEPTH)


WORDS = [
    "\\par ",
    "\\u1234?",
    "\\'e9",
    "{",
    "}",
    "\\*",
    "\\footnote ",
    "\\stylesheet",
    "\\s1",
    "\n",
]
PIECES = st.one_of(
    st.sampled_from([*WORDS, *(f"\\{word}1 " for word in rtf._ACTIONS), "\\info", "\\title "]),
    st.text(st.characters(max_codepoint=255), max_size=5),
)


@given(st.lists(PIECES, max_size=40))
def test_any_document_is_text_or_a_book_error(pieces: list[str]) -> None:
    try:
        text = text_of("".join(pieces))
    except BookError:
        return
    assert text
    text.encode("utf-8")


def test_a_title_tells_a_terminal_nothing() -> None:
    data = rf"{{\rtf1\ansi{{\info{{\title The \'1b[31mSalt\'07 Road}}}}{PROSE}\par}}".encode()
    assert read_rtf(Path("x.rtf"), data).title == "The [31mSalt Road"


def test_empty_cells_before_others_are_gone_through_once() -> None:
    started = time.monotonic()
    text = text_of(r"{\b  }\cell" * 50_000 + r" a\cell" * 50_000)
    assert text == " | ".join("a" * 50_000)
    assert time.monotonic() - started < 15
