"""ODT: a ZIP archive with an OpenDocument text in XML."""

from pathlib import Path

from lxml import etree

from squadlite.errors import BrokenBookError, ProtectedBookError, UnsupportedBookError
from squadlite.library.archive import BookArchive
from squadlite.library.gutenberg import without_licence
from squadlite.library.kinds import refuse_images
from squadlite.library.markup import local_name, title_from_name
from squadlite.library.office import (
    MAX_STYLE_DEPTH,
    attribute,
    metadata_field,
    read_part,
)
from squadlite.library.paragraphs import ParagraphBuilder
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Block, Book, count_words

_CONTENT = "content.xml"
_STYLES = "styles.xml"
_METADATA = "meta.xml"
_MANIFEST = "META-INF/manifest.xml"
_THUMBNAIL = "Thumbnails/thumbnail.png"
# Tracked changes hold what was deleted; indexes and tables of contents repeat the headings.
_SKIPPED_NAMES = """
tracked-changes table-of-content alphabetical-index illustration-index table-index object-index
user-index note-citation annotation annotation-end forms sequence-decls variable-decls
user-field-decls ruby-text title desc script event-listeners object object-ole hidden-text
"""
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
_PARAGRAPHS = frozenset(["p", "h"])


def read_odt(path: Path) -> Book:
    """
    Read an OpenDocument text; its headings make the chapters.

    Notes stand behind the paragraph that they belong to; what tracked changes delete, comments and
    tables of contents are left out. The cover is the picture of the first page, where the file
    holds one.

    Raises:
        BrokenBookError: damaged or hostile, or without any text.
        ProtectedBookError: locked with a password.
        UnsupportedBookError: a spreadsheet or another kind of document, or its pages are images.
    """
    with BookArchive(path) as archive:
        manifest = read_part(archive, _MANIFEST)
        if manifest is not None and manifest.find(".//{*}encryption-data") is not None:
            raise ProtectedBookError(
                f"{path.name}: locked with a password, which squadlite doesn't ask for"
            )
        content = read_part(archive, _CONTENT)
        body = None if content is None else content.find("{*}body")
        if content is None or body is None:
            raise BrokenBookError(f"{path.name}: {_CONTENT}: no OpenDocument, expected one")
        text = body.find("{*}text")
        if text is None:
            raise UnsupportedBookError(
                f"{path.name}: an OpenDocument of another kind, expected a text (ODT)"
            )
        styles = _Styles([content, read_part(archive, _STYLES)])
        metadata = read_part(archive, _METADATA)
        cover = archive.read_cover(archive.find(_THUMBNAIL))
        images = sum(name.startswith("Pictures/") for name in archive.names())
    blocks = without_licence(_Walker(styles).walk(text))
    refuse_images(path, words=count_words(blocks), images=images)
    if not blocks:
        raise BrokenBookError(f"{path.name}: no text in the document")
    title = metadata_field(metadata, "title") or title_from_name(path)
    return Book(
        title=title,
        # The other creator is who changed the document last.
        author=metadata_field(metadata, "initial-creator") or metadata_field(metadata, "creator"),
        language=metadata_field(metadata, "language") or styles.language,
        chapters=split_chapters(blocks, book_title=title),
        identifier=metadata_field(metadata, "identifier"),
        cover=cover,
    )


class _Styles:
    """Which styles are headings, and the language of the usual one."""

    def __init__(self, parts: list[etree._Element | None]) -> None:
        self.language = ""
        self._parents: dict[str, str] = {}
        self._levels: dict[str, int] = {"Title": 1}
        for part in parts:
            for style in () if part is None else part.iterfind(".//{*}style"):
                name = attribute(style, "name")
                self._parents[name] = attribute(style, "parent-style-name")
                level = _heading_level(attribute(style, "default-outline-level"))
                if level:
                    self._levels[name] = level
            usual = () if part is None else part.iterfind(".//{*}default-style/{*}text-properties")
            for properties in usual:
                language, country = (attribute(properties, n) for n in ("language", "country"))
                if language not in ("", "none", "zxx"):
                    tags = [language, *([country] if country not in ("", "none") else [])]
                    self.language = self.language or "-".join(tags)

    def level(self, paragraph: etree._Element) -> int:
        """The level of a paragraph as a heading; 0 for text."""
        if local_name(paragraph) == "h":
            return _heading_level(attribute(paragraph, "outline-level")) or 1
        style = attribute(paragraph, "style-name")
        for _ in range(MAX_STYLE_DEPTH):
            if style in self._levels:
                return self._levels[style]
            style = self._parents.get(style, "")
        return 0


def _heading_level(digits: str) -> int:
    """The heading level that digits write, at most 6; 0 for none."""
    return min(int(digits), 6) if digits.isdecimal() and len(digits) < 3 else 0


class _Walker:
    """Walks through a text, or through one of its notes."""

    def __init__(self, styles: _Styles) -> None:
        self._styles = styles
        self._builder = ParagraphBuilder()

    def walk(self, root: etree._Element) -> list[Block]:
        """The paragraphs and headings in an element."""
        walker = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        skipped: etree._Element | None = None
        for event, element in walker:
            if event == "start":
                if self._is_skipped(element, root):
                    skipped = element
                    walker.skip_subtree()
                else:
                    self._open(element)
                    self._add(element.text)
                continue
            if event == "end" and element is not skipped:
                self._close(element)
            skipped = None
            if element is not root:
                self._add(element.tail)
        self._builder.end_block()
        return self._builder.blocks

    def _is_skipped(self, element: etree._Element, root: etree._Element) -> bool:
        name = local_name(element)
        if name != "note" or element is root:
            return name in _SKIPPED
        if local_name(root) != "note":
            self._builder.add_notes(_Walker(self._styles).walk(element))
        return True

    def _add(self, text: str | None) -> None:
        # Between paragraphs there is only the indentation of the XML.
        if text and self._builder.in_paragraph:
            self._builder.add(text)

    def _open(self, element: etree._Element) -> None:
        match local_name(element):
            case "p" | "h":
                self._builder.begin_paragraph(self._styles.level(element))
            case "s" | "tab":
                self._builder.add(" ")
            case "line-break":
                self._builder.break_line()
            case "a":
                self._builder.begin_link()
            case "table-row":
                self._builder.begin_row(one_line=_is_one_line(element))
            case "table-cell":
                self._builder.begin_cell()
            case "bookmark" | "bookmark-start":
                self._builder.add_anchor(attribute(element, "name"))

    def _close(self, element: etree._Element) -> None:
        match local_name(element):
            case "p" | "h":
                self._builder.end_paragraph()
            case "a":
                self._builder.end_link()
            case "table-row":
                self._builder.end_row()


def _is_one_line(row: etree._Element) -> bool:
    """Whether a row has no cell of several paragraphs, as tables have that are only layout."""
    return all(
        sum(local_name(element) in _PARAGRAPHS for element in cell.iter()) < 2
        for cell in row.iterfind("{*}table-cell")
    )
