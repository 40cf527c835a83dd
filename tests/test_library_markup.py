"""Markup to text: paragraphs whole, words unbroken, everything that isn't text left out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library.markup import page_blocks, parse_markup, parse_xml
from squadlite.library.structure import join_blocks


def text(body: str, *, well_formed: bool = True) -> str:
    source = (
        '<html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><body>{body}</body></html>'
    )
    root = parse_markup(source.encode() if well_formed else f"<html><body>{body}".encode())
    assert root is not None
    return join_blocks(page_blocks(root))


@pytest.mark.parametrize("well_formed", [True, False], ids=["xhtml", "html"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>One</p>\n  <p>two\n\tthree</p>", "One\n\ntwo three"),
        ("<p>in<i>divis</i>ib<b>le</b></p>", "indivisible"),
        ("<p>H<sub>2</sub>O on the 1<sup>st</sup></p>", "H2O on the 1st"),
        ("<p>a&#160;b&#8239;c</p>", "a b c"),
        ("<p>co&#173;op, zero&#8203;width, word&#8288;joined</p>", "coop, zerowidth, wordjoined"),
        ("<p>Cafe&#769;</p>", "Café"),
        ("<p>He&hellip;&mdash;&eacute;&lt;&amp;</p>", "He…—é<&"),
        ("<p>one<br/>two<br/>\n three</p>", "one\ntwo\nthree"),
        ("<p>one<br/><br/>two</p>", "one\n\ntwo"),
        ("<h2>Chapter I<br/>The Road</h2><p>It began.</p>", "Chapter I\nThe Road\n\nIt began."),
        ("<div>loose <p>inside</p> after</div>", "loose\n\ninside\n\nafter"),
        ("<ul><li>salt</li><li>pepper</li></ul>", "salt\n\npepper"),
        ("<dl><dt>Salt</dt><dd>a mineral</dd></dl>", "Salt\n\na mineral"),
        (
            "<table><tr><th>Name</th><th>Age</th></tr><tr><td>Marit</td><td>41</td></tr></table>",
            "Name | Age\n\nMarit | 41",
        ),
        ("<table><tr><td><p>One.</p><p>Two.</p></td></tr></table>", "One.\n\nTwo."),
        ("<pre>  The mouse\n    ran up\n\nthe clock</pre>", "The mouse\nran up\n\nthe clock"),
        ("<p>a<script>b()</script><style>c{}</style><!-- d -->e</p>", "ae"),
        ("<nav><ol><li>Contents</li></ol></nav><p>Text</p>", "Text"),
        ("<p>Text<img src='x' alt='a picture'/> on</p>", "Text on"),
        ("<p hidden='hidden'>secret</p><p>open</p>", "open"),
        ("<p>Told<a epub:type='noteref' href='#n'>1</a> once</p>", "Told once"),
        ("<p>Told<a role='doc-noteref' href='#n'>note</a>.</p>", "Told."),
        ("<p>Told<sup><a href='#n'>12</a></sup>.</p>", "Told."),
        ("<p>Told<a href='#n'><sup>*</sup></a>.</p>", "Told."),
        ("<p>Told<a href='#n'>[3]</a>.</p>", "Told."),
        ("<p>A note. <a epub:type='backlink' href='#b'>back</a></p>", "A note."),
        ("<p>See <a href='#c'>chapter 3</a>, <a href='#y'>1984</a>.</p>", "See chapter 3, 1984."),
        ("<p>broken<span class='pagenum'>17</span> word</p>", "broken word"),
        ("<p><span epub:type='pagebreak'>17</span>A page</p>", "A page"),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字</ruby></p>", "漢字"),
        ("<blockquote><p><span>One</span><br/><span>two</span></p></blockquote>", "One\ntwo"),
        ("<p> </p><p>&#160;</p><hr/>", ""),
    ],
)  # fmt: skip
def test_text_of(body: str, expected: str, well_formed: bool) -> None:
    assert text(body, well_formed=well_formed) == expected


def blocks_of(body: str) -> list[tuple[str, int, tuple[str, ...]]]:
    root = parse_markup(f"<html><body>{body}</body></html>".encode())
    assert root is not None
    return [(block.text, block.level, block.anchors) for block in page_blocks(root)]


def test_headings_have_levels_and_blocks_have_anchors() -> None:
    found = blocks_of("<h1 id='t'>Title</h1><section id='s'><p>One<a id='mid'/> two</p></section>")
    assert found == [("Title", 1, ("t",)), ("One two", 0, ("s", "mid"))]


def test_links_are_weighed() -> None:
    root = parse_markup(b"<html><body><p><a href='x'>12345</a>67890</p></body></html>")
    assert root is not None
    assert page_blocks(root)[0].link_share == 0.5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252", "koi8-r", "shift_jis"])
def test_a_page_is_read_in_its_encoding(encoding: str) -> None:
    letters = {"koi8-r": "соль", "shift_jis": "塩の道"}.get(encoding, "Zoë’s")
    source = (
        f'<?xml version="1.0" encoding="{encoding}"?><html><body><p>{letters}</p></body></html>'
    )
    root = parse_markup(source.encode(encoding))
    assert root is not None
    assert page_blocks(root)[0].text == letters


def test_nothing_at_all_is_no_page() -> None:
    assert parse_markup(b"") is None
    assert parse_xml(b"") is None


@given(st.text())
def test_any_text_in_a_paragraph_comes_out_with_its_words(content: str) -> None:
    escaped = content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    visible = "".join(letter for letter in content if letter.isalnum() and letter.isascii())
    found = text(f"<p>x{escaped}</p>")
    assert "".join(letter for letter in found if letter.isalnum() and letter.isascii()) == (
        "x" + visible
    )


@given(
    number=st.integers(0xD800, 0xDFFF) | st.sampled_from([0xD7FF, 0xE000, 0xD8000]),
    form=st.sampled_from(["&#{0};", "&#{0}", "&#x{0:x};", "&#X00{0:X};"]),
    is_xml=st.booleans(),
)
def test_references_to_halves_of_characters_are_no_characters(
    number: int, form: str, is_xml: bool
) -> None:
    # Not well-formed, so that the parser mends it.
    source = f"<div><p>salt {form.format(number)} road".encode()
    root = parse_xml(source) if is_xml else parse_markup(source)
    assert root is not None
    text = "".join(str(piece) for piece in root.itertext())
    assert text.startswith("salt ")
    text.encode()


@pytest.mark.parametrize(
    "piece",
    [" ", "<?xml", "<!doctype", "&a", "<p "],
)
def test_a_piece_of_markup_again_and_again_is_looked_at_once(piece: str) -> None:
    started = time.monotonic()
    parse_markup(f"<p>a{piece * 200_000}".encode())
    assert text(f"<p>a<sup><a href='x'>{' ' * 200_000}</a></sup></p>") == "a"
    assert text(f"<table><tr>{'<td></td> ' * 50_000}<td>a</td></tr></table>") == "a"
    assert time.monotonic() - started < 10
