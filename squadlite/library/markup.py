"""XHTML and HTML to clean blocks of text."""

import html.entities
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from squadlite.library.decoding import clean_controls, decode
from squadlite.library.structure import Block

MAX_LINE_CHARACTERS = 10_000
EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"

_SKIPPED_NAMES = """
head script style nav template iframe object embed applet audio video canvas img svg map button
select textarea noscript rt rp annotation annotation-xml
"""
_BLOCK_NAMES = """
html body p div section article aside header footer main hgroup address blockquote figure figcaption
center form fieldset details summary ul ol dl li dt dd table caption thead tbody tfoot tr pre hr
h1 h2 h3 h4 h5 h6
"""
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset(["td", "th"])
_SKIPPED_TYPES = frozenset(
    ["noteref", "backlink", "pagebreak", "doc-noteref", "doc-backlink", "doc-pagebreak"]
)
# Class names of Project Gutenberg's page numbers, licence header and licence footer.
_SKIPPED_CLASSES = frozenset(["pagenum", "pageno", "pg-boilerplate"])
_NOTE_MARK = re.compile(r"[\[(]?\s*(\d{1,3}|[*†‡§¶]{1,3}|[a-z])\s*[\])]?")
_BRACKETED_MARK = re.compile(r"\[\s*(\d{1,3}|[*†‡§¶]{1,3}|[a-z])\s*\]|↩\ufe0e?")

# References to halves of characters, which are none.
_SURROGATE = re.compile(
    r"&#(?:x0*d[89a-f][0-9a-f]{2}(?![0-9a-f])"
    r"|0*(?:5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3])(?!\d))",
    re.IGNORECASE | re.ASCII,
)
# Whatever it ends with, so that each piece of the page is looked at once.
_XML_DECLARATION = re.compile(r"<\?xml[^>]*(?:>|\Z)", re.IGNORECASE)
_DOCTYPE = re.compile("<!doctype", re.IGNORECASE)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset(["amp", "lt", "gt", "quot", "apos"])
_SELF_CLOSED = re.compile(
    r"<((?:script|style|title|iframe|textarea|a|p|div|span|td|i|b|em)\b[^<>]*)/>", re.IGNORECASE
)
_WHITESPACE = re.compile(r"[^\S\u2028]+")
_BREAK = "\u2028"  # Unicode's line separator marks <br> until the block's whitespace is folded
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")


def parse_markup(data: bytes) -> etree._Element | None:
    """
    Parse an XHTML or HTML page, well-formed or not; None where there is no element at all.

    The page's DOCTYPE is cut off before parsing, so no entity but HTML's own is ever expanded,
    and nothing is fetched.
    """
    return parse_page(decode(data, declared=True))


def parse_page(source: str) -> etree._Element | None:
    """Parse an XHTML or HTML page from its text (see `parse_markup`)."""
    source = _prepare(source)
    try:
        return etree.fromstring(source.encode("utf-8"), _xml_parser(recover=False))
    except etree.XMLSyntaxError:
        pass
    page = _SELF_CLOSED.sub(_open_and_close, source).encode("utf-8")
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        return etree.fromstring(page, parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None


def parse_xml(data: bytes) -> etree._Element | None:
    """Parse a package document, however damaged; None where nothing can be made of it."""
    source = _prepare(decode(data, declared=True)).encode("utf-8")
    for recover in (False, True):
        try:
            return etree.fromstring(source, _xml_parser(recover=recover))
        except etree.XMLSyntaxError:
            continue
    return None


def _xml_parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
    )


def _prepare(source: str) -> str:
    # A parser that mends what it can lets them through, and texts with them can't be got out.
    source = _SURROGATE.sub("&#xFFFD", source)
    source = _without_doctype(_without_declaration(source))
    return _ENTITY.sub(_entity_character, source).strip()


def _without_declaration(source: str) -> str:
    for match in _XML_DECLARATION.finditer(source):
        if match[0].endswith("?>"):
            return source[: match.start()].rstrip() + source[match.end() :]
    return source


def _without_doctype(source: str) -> str:
    doctype = _DOCTYPE.search(source)
    if doctype is None:
        return source
    end = source.find(">", doctype.end())
    subset = source.find("[", doctype.end(), end)
    if subset >= 0:
        end = source.find(">", source.find("]", subset))
    return source[: doctype.start()] + source[end + 1 :] if end >= 0 else source


def _entity_character(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES:
        return match[0]
    return html.entities.html5.get(f"{name};", match[0])


def _open_and_close(match: re.Match[str]) -> str:
    name = match[1].split(None, 1)[0]
    return f"<{match[1]}></{name}>"


def local_name(element: etree._Element) -> str:
    """The element's name without namespace, in lower case; "" for comments and the like."""
    if not isinstance(element.tag, str):
        return ""
    return element.tag.rpartition("}")[2].lower()


def semantic_types(element: etree._Element) -> set[str]:
    """What the element says it is: the words of its epub:type and role."""
    words = " ".join(element.get(name) or "" for name in (EPUB_TYPE, "epub:type", "role"))
    return set(words.lower().split())


def page_types(root: etree._Element) -> set[str]:
    """What a page says it is: on its body, or on the one section that holds everything."""
    body = next((element for element in root.iter() if local_name(element) == "body"), root)
    types = semantic_types(body)
    element = body
    while len(element) == 1 and local_name(element[0]) in ("section", "div", "article", "nav"):
        element = element[0]
        types |= semantic_types(element)
    return types


def text_content(element: etree._Element) -> str:
    """
    All text inside an element, on one line: a title, a name.

    No more of it is looked at than MAX_LINE_CHARACTERS, since elements in one another have the text
    of all that are inside, each anew.
    """
    pieces: list[str] = []
    characters = 0
    for piece in element.itertext(etree.Element):
        pieces.append(str(piece)[: MAX_LINE_CHARACTERS - characters])
        characters += len(pieces[-1])
        if characters == MAX_LINE_CHARACTERS:
            break
    return clean_line("".join(pieces))


def has_text(element: etree._Element) -> bool:
    """Whether there is any text inside an element; no more of it is looked at than it takes."""
    return any(_visible(str(piece)).strip() for piece in element.itertext(etree.Element))


def clean_line(text: str) -> str:
    """Text on one line, whitespace folded, control and invisible characters dropped."""
    return unicodedata.normalize("NFC", " ".join(_visible(text).split()))


def _visible(text: str) -> str:
    # Control characters come by references too ("&#27;"), and would reach a terminal.
    return _INVISIBLE.sub("", clean_controls(text))


def title_from_name(path: Path) -> str:
    """The title of a book that names none: its file's name as text, on one line."""
    return clean_line(os.fsencode(path.stem).decode(errors="replace"))


def page_blocks(root: etree._Element) -> list[Block]:
    """The page's paragraphs and headings in reading order, without scripts, notes and markers."""
    return list(_BlockBuilder().walk(root))


class _BlockBuilder:
    """Collects text while a tree is walked, and hands it on at the borders of block elements."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._has_text = False
        self._anchors: list[str] = []
        self._heading = 0
        self._pre_depth = 0
        self._link_depth = 0
        self._linked = 0

    def walk(self, root: etree._Element) -> Iterator[Block]:
        skipped: etree._Element | None = None
        walker = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walker:
            if event == "start":
                if _is_skipped(element):
                    skipped = element
                    walker.skip_subtree()
                else:
                    yield from self._open(element)
                    self._add(element.text)
                continue
            if event == "end" and element is not skipped:
                yield from self._close(element)
            skipped = None
            if element is not root:
                self._add(element.tail)
        yield from self._flush()

    def _open(self, element: etree._Element) -> Iterator[Block]:
        name = local_name(element)
        if name in _BLOCKS or _is_block_cell(element):
            yield from self._flush()
        elif name in _CELLS and self._has_text:
            self._pieces.append(" | ")
        elif name == "br":
            self._pieces.append(_BREAK)
        self._heading = _HEADINGS.get(name, self._heading)
        self._pre_depth += name == "pre"
        self._link_depth += name == "a" and element.get("href") is not None
        anchor = element.get("id") or (element.get("name") if name == "a" else None)
        if anchor:
            self._anchors.append(anchor)

    def _close(self, element: etree._Element) -> Iterator[Block]:
        name = local_name(element)
        if name in _BLOCKS or _is_block_cell(element):
            yield from self._flush()
        if name in _HEADINGS:
            self._heading = 0
        self._pre_depth -= name == "pre"
        self._link_depth -= name == "a" and element.get("href") is not None

    def _add(self, text: str | None) -> None:
        if not text:
            return
        text = _visible(text)
        if self._pre_depth:
            self._pieces.append(text.replace("\n", _BREAK))
        else:
            self._pieces.append(text.replace(_BREAK, " "))
        self._has_text = self._has_text or bool(text.strip())
        if self._link_depth:
            self._linked += len(text)

    def _flush(self) -> Iterator[Block]:
        text, linked = "".join(self._pieces), self._linked
        has_text, self._has_text = self._has_text, False
        self._pieces.clear()
        self._linked = 0
        if not has_text:
            return
        # Splitting and joining folds whitespace several times faster than a substitution.
        lines = [" ".join(line.split()) for line in text.split(_BREAK)]
        paragraphs = [_without_blanks(lines)] if self._heading else _split_at_blank_lines(lines)
        share = linked / len(_WHITESPACE.sub(" ", text)) if linked else 0.0
        for paragraph in paragraphs:
            if paragraph:
                content = unicodedata.normalize("NFC", "\n".join(paragraph))
                yield Block(content, self._heading, tuple(self._anchors), min(share, 1.0))
                self._anchors.clear()


def _without_blanks(lines: list[str]) -> list[str]:
    return [line for line in lines if line]


def _split_at_blank_lines(lines: list[str]) -> list[list[str]]:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line:
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return paragraphs


def _is_block_cell(element: etree._Element) -> bool:
    """Whether a table's cell holds paragraphs of its own: a table that is only layout."""
    return local_name(element) in _CELLS and any(local_name(child) in _BLOCKS for child in element)


def _is_skipped(element: etree._Element) -> bool:
    name = local_name(element)
    if name in _SKIPPED or element.get("hidden") is not None:
        return True
    if semantic_types(element) & _SKIPPED_TYPES:
        return True
    if _SKIPPED_CLASSES & set((element.get("class") or "").lower().split()):
        return True
    return name in ("a", "sup") and _is_note_mark(element)


def _is_note_mark(element: etree._Element) -> bool:
    """Whether a link is a footnote's number: raised, or in brackets."""
    link = element if local_name(element) == "a" else element.find(".//{*}a")
    if link is None or link.get("href") is None:
        return False
    text = "".join(str(piece) for piece in element.itertext()).strip()
    raised = local_name(element) == "sup" or element.find(".//{*}sup") is not None
    return (_NOTE_MARK if raised else _BRACKETED_MARK).fullmatch(text) is not None
