"""DOCX: a ZIP archive with Word's document in XML."""

import posixpath
import re
from pathlib import Path

from lxml import etree

from squadlite.errors import BrokenBookError
from squadlite.library.archive import BookArchive
from squadlite.library.gutenberg import without_licence
from squadlite.library.kinds import refuse_images
from squadlite.library.markup import local_name, title_from_name
from squadlite.library.office import (
    MAX_STYLE_DEPTH,
    attribute,
    metadata_field,
    named_level,
    read_part,
)
from squadlite.library.paragraphs import ParagraphBuilder
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Block, Book, count_words

_RELATIONSHIPS = "_rels/.rels"
_DOCUMENT = "word/document.xml"
_METADATA = "docProps/core.xml"
_THUMBNAIL = "docProps/thumbnail.jpeg"
_CONTENTS_NAME = re.compile(r"toc( heading| ?\d)|table of figures", re.IGNORECASE)
# Deleted and moved text, what fields compute from, settings, and what stands there a second time.
_SKIPPED_NAMES = "del movefrom instrtext ppr rpr sectpr tblpr trpr tcpr sdtpr rt fallback"
_SKIPPED = frozenset(_SKIPPED_NAMES.split())

_Notes = dict[tuple[str, str], etree._Element]


def read_docx(path: Path) -> Book:
    """
    Read a DOCX document; its headings make the chapters.

    Headings are told by the outline level of their style. Footnotes and endnotes stand behind the
    paragraph that they belong to; what tracked changes delete and the table of contents are left
    out. The cover is the picture of the first page, where the file holds one.

    Raises:
        BrokenBookError: damaged or hostile, or without any text.
        UnsupportedBookError: its pages are images.
    """
    with BookArchive(path) as archive:
        name = _document_name(archive)
        document = read_part(archive, name)
        if document is None:
            raise BrokenBookError(f"{path.name}: {name}: no Word document, expected one")
        folder = posixpath.dirname(name)
        styles = _Styles(read_part(archive, posixpath.join(folder, "styles.xml")))
        notes = _read_notes(archive, folder)
        metadata = read_part(archive, _METADATA)
        cover = archive.read_cover(archive.find(_THUMBNAIL))
        images = sum(name.startswith(f"{folder}/media/") for name in archive.names())
    blocks = without_licence(_Walker(styles, notes).walk(document))
    refuse_images(path, words=count_words(blocks), images=images)
    if not blocks:
        raise BrokenBookError(f"{path.name}: no text in the document")
    title = metadata_field(metadata, "title") or title_from_name(path)
    return Book(
        title=title,
        author=metadata_field(metadata, "creator"),
        language=metadata_field(metadata, "language") or styles.language,
        chapters=split_chapters(blocks, book_title=title),
        identifier=metadata_field(metadata, "identifier"),
        cover=cover,
    )


def _document_name(archive: BookArchive) -> str:
    """The member that the package names as its document."""
    relationships = read_part(archive, _RELATIONSHIPS)
    for relationship in () if relationships is None else relationships.iterfind("{*}Relationship"):
        if relationship.get("Type", "").endswith("/officeDocument"):
            name = posixpath.normpath(relationship.get("Target", "").lstrip("/"))
            if archive.find(name):
                return name
    return _DOCUMENT


def _read_notes(archive: BookArchive, folder: str) -> _Notes:
    """Footnotes and endnotes, by kind and identifier."""
    notes: _Notes = {}
    for kind in ("footnote", "endnote"):
        part = read_part(archive, posixpath.join(folder, f"{kind}s.xml"))
        for note in () if part is None else part.iterfind(f"{{*}}{kind}"):
            notes[kind, attribute(note, "id")] = note
    return notes


def _word_name(element: etree._Element) -> str:
    """The name of one of Word's own elements, in lower case; "" for those of drawings and such."""
    tag = element.tag
    return local_name(element) if isinstance(tag, str) and "/wordprocessingml/" in tag else ""


class _Styles:
    """Which styles are headings, and which those of a table of contents."""

    def __init__(self, styles: etree._Element | None) -> None:
        self.language = ""
        self._levels: dict[str, int] = {}
        self._contents: set[str] = set()
        if styles is None:
            return
        language = styles.find("{*}docDefaults//{*}lang")
        self.language = "" if language is None else attribute(language, "val")
        bases: dict[str, str] = {}
        for style in styles.iterfind("{*}style"):
            identifier = attribute(style, "styleId")
            name, base = style.find("{*}name"), style.find("{*}basedOn")
            named = "" if name is None else attribute(name, "val")
            bases[identifier] = "" if base is None else attribute(base, "val")
            level = _outline_level(style)
            if level is None:
                level = named_level(named)
            if level is not None:
                self._levels[identifier] = level
            if _CONTENTS_NAME.fullmatch(named):
                self._contents.add(identifier)
        for identifier in bases:
            self._inherit(identifier, bases)

    def _inherit(self, identifier: str, bases: dict[str, str]) -> None:
        base = identifier
        for _ in range(MAX_STYLE_DEPTH):
            if base in self._levels:
                self._levels[identifier] = self._levels[base]
                return
            base = bases.get(base, "")

    def is_contents(self, paragraph: etree._Element) -> bool:
        """Whether a paragraph belongs to a table of contents."""
        return self._style(paragraph) in self._contents

    def level(self, paragraph: etree._Element) -> int:
        """The level of a paragraph as a heading; 0 for text."""
        own = _outline_level(paragraph)
        return self._levels.get(self._style(paragraph), 0) if own is None else own

    def _style(self, paragraph: etree._Element) -> str:
        style = paragraph.find("{*}pPr/{*}pStyle")
        return "" if style is None else attribute(style, "val")


def _outline_level(element: etree._Element) -> int | None:
    """The heading level that a paragraph or a style sets, 0 for text; None if it sets none."""
    outline = element.find("{*}pPr/{*}outlineLvl")
    digits = "" if outline is None else attribute(outline, "val")
    if not digits.isdecimal() or len(digits) > 1:
        return None
    return int(digits) + 1 if int(digits) < 6 else 0


class _Walker:
    """Walks through a document, or through one of its notes."""

    def __init__(self, styles: _Styles, notes: _Notes) -> None:
        self._styles = styles
        self._notes = notes
        self._builder = ParagraphBuilder()

    def walk(self, root: etree._Element) -> list[Block]:
        """The paragraphs and headings in an element."""
        walker = etree.iterwalk(root, events=("start", "end"))
        skipped: etree._Element | None = None
        for event, element in walker:
            if event == "start" and self._is_skipped(element):
                skipped = element
                walker.skip_subtree()
            elif event == "start":
                self._open(element)
            elif element is skipped:
                skipped = None
            else:
                self._close(element)
        self._builder.end_block()
        return self._builder.blocks

    def _is_skipped(self, element: etree._Element) -> bool:
        name = local_name(element)
        if name == "r":
            hidden = element.find("{*}rPr/{*}vanish")
            return hidden is not None and attribute(hidden, "val") not in ("0", "false", "off")
        if name == "p":
            return self._styles.is_contents(element)
        if name == "sdt":
            gallery = element.find("{*}sdtPr/{*}docPartObj/{*}docPartGallery")
            return gallery is not None and attribute(gallery, "val") == "Table of Contents"
        return name in _SKIPPED

    def _open(self, element: etree._Element) -> None:
        match _word_name(element):
            case "p":
                self._builder.begin_paragraph(self._styles.level(element))
            case "t":
                self._builder.add(element.text or "")
            case "tab" | "ptab":
                self._builder.add(" ")
            case "br" | "cr":
                self._builder.break_line()
            case "nobreakhyphen":
                self._builder.add("-")
            case "hyperlink":
                self._builder.begin_link()
            case "tr":
                self._builder.begin_row(one_line=_is_one_line(element))
            case "tc":
                self._builder.begin_cell()
            case "bookmarkstart":
                self._builder.add_anchor(attribute(element, "name"))
            case "footnotereference" | "endnotereference" as reference:
                # A note belongs to the first place that refers to it.
                key = reference.removesuffix("reference"), attribute(element, "id")
                note = self._notes.pop(key, None)
                if note is not None:
                    self._builder.add_notes(_Walker(self._styles, {}).walk(note))

    def _close(self, element: etree._Element) -> None:
        match _word_name(element):
            case "p":
                self._builder.end_paragraph()
            case "hyperlink":
                self._builder.end_link()
            case "tr":
                self._builder.end_row()


def _is_one_line(row: etree._Element) -> bool:
    """Whether a row has no cell of several paragraphs, as tables have that are only layout."""
    return all(len(cell.findall(".//{*}p")) < 2 for cell in row.iterfind("{*}tc"))
