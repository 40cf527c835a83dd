r"""
RTF: text with control words in groups, such as {\b bold}.

We read what says where text and its paragraphs are; a group that isn't text (fonts, pictures,
headers) is passed over. Microsoft's Rich Text Format Specification 1.9.1 is what we go by.
"""

import codecs
import locale
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from squadlite.errors import BrokenBookError
from squadlite.library.gutenberg import without_licence
from squadlite.library.markup import clean_line, title_from_name
from squadlite.library.office import MAX_STYLE_DEPTH, named_level
from squadlite.library.paragraphs import ParagraphBuilder
from squadlite.library.sections import split_chapters
from squadlite.library.structure import Book

MAX_DEPTH = 10_000
_HEADING_LEVELS = 6
_MAX_FIELD_CHARACTERS = 1_000
_MAX_FALLBACK = 100

_TOKEN = re.compile(
    rb"\\([A-Za-z]{1,32})(-?[0-9]{1,10})? ?"  # a control word and its number
    rb"|\\'([0-9A-Fa-f]{2})"  # a byte
    rb"|\\(.)"  # a control symbol
    rb"|([{}])"
    rb"|[\r\n]+"
    rb"|([^\\{}\r\n]+)",
    re.DOTALL,
)
_CHARACTERS = {
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "tab": " ",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "~": " ",
    "_": "-",
    "{": "{",
    "}": "}",
    "\\": "\\",
}
# Groups that hold no text of the book.
_SKIPPED_NAMES = """
colortbl listtable listoverridetable revtbl rsidtbl generator filetbl themedata colorschememapping
datastore latentstyles xmlnstbl subject operator keywords comment doccomm company manager pict
object fldinst header headerl headerr headerf footer footerl footerr footerf annotation atnid
atnauthor ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn listtext pntext nonshppict xe tc tcn rxe
bkmkend pgdsctbl template private upr
"""
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
# Of the groups that "\*" lets readers pass over, those that we do not.
_KNOWN = frozenset(["bkmkstart", "footnote"])
# Groups of which we keep something that isn't the book's text; "info" holds some of them.
_PLACES = frozenset(["fonttbl", "stylesheet", "info", "title", "author", "bkmkstart"])
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk",
    136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256",
    186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip


def read_rtf(path: Path, data: bytes) -> Book:
    """
    Read an RTF document; its headings make the chapters.

    Headings are told by the outline level of the paragraph or of its style. Footnotes stand behind
    the paragraph that they belong to; hidden and deleted text, headers and text boxes are left out.

    Raises:
        BrokenBookError: no text, or groups nested more than MAX_DEPTH deep.
    """
    reader = _Reader(path)
    reader.read(data)
    blocks = without_licence(reader.builder.blocks)
    if not blocks:
        raise BrokenBookError(f"{path.name}: no text in the document")
    title = clean_line(reader.fields.get("title", "")) or title_from_name(path)
    return Book(
        title=title,
        author=clean_line(reader.fields.get("author", "")),
        language=reader.language,
        chapters=split_chapters(blocks, book_title=title),
    )


@dataclass
class _Style:
    """A style of the stylesheet: its number, name, heading level and the style it builds on."""

    number: int = 0
    name: str = ""
    level: int | None = None
    base: int | None = None


@dataclass
class _Font:
    """A font of the font table: its number, and the encoding of text in it if it has its own."""

    number: int = 0
    codec: str | None = None


@dataclass(slots=True)
class _State:
    """
    What holds until a group ends.

    Attributes:
        place: what the text is: "text", the name of a field, "" for what isn't wanted.
        builder: that of the document, or of the note that we are in.
        codec: what its bytes are encoded in.
        fallback: how many characters stand for one that is also told by its number.
        hidden, deleted: whether its characters are.
        level: the paragraph's as a heading; None where its style says.
        style: the paragraph's.
    """

    place: str
    builder: ParagraphBuilder
    codec: str
    fallback: int = 1
    hidden: bool = False
    deleted: bool = False
    level: int | None = None
    style: int = 0


class _Reader:
    """Reads a document once, from its start to its end."""

    def __init__(self, path: Path) -> None:
        self.builder = ParagraphBuilder()
        self.fields: dict[str, str] = {"title": "", "author": ""}
        self.language = ""
        self._path = path
        self._state = _State("text", self.builder, "cp1252")
        self._stack: list[_State] = []
        self._document_codec = "cp1252"
        self._fonts: dict[int, str | None] = {}
        self._font = _Font()
        self._styles: dict[int, _Style] = {}
        self._style = _Style()
        self._bytes = bytearray()
        # How many characters follow that stand for one told by its number, for older readers.
        self._skip = 0
        self._surrogate = ""
        self._optional = False

    def read(self, data: bytes) -> None:
        """Read a whole document."""
        place = 0
        while (token := _TOKEN.match(data, place)) is not None:
            place = token.end()
            word, number, byte, symbol, brace, text = token.groups()
            if text is not None:
                self._add_bytes(text)
            elif word == b"bin":
                place += max(int(number or 0), 0)
            elif word is not None:
                value = None if number is None else int(number)
                self._control(word.decode("ascii"), value)
            elif byte is not None:
                self._add_bytes(bytes.fromhex(byte.decode("ascii")))
            elif symbol is not None:
                self._symbol(symbol.decode("latin-1"))
            elif brace is not None:
                self._flush()
                self._skip = 0
                self._open() if brace == b"{" else self._close()
        self._flush()
        self.builder.end_block(self._level())

    # Groups

    def _open(self) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise BrokenBookError(
                f"{self._path.name}: groups nested more than {MAX_DEPTH} deep, expected fewer"
            )
        self._stack.append(self._state)
        self._state = replace(self._state)

    def _close(self) -> None:
        if not self._stack:
            return
        ended, self._state = self._state, self._stack.pop()
        if ended.builder is not self._state.builder:
            ended.builder.end_block()
            self._state.builder.add_notes(ended.builder.blocks)
        if ended.place == "stylesheet" and self._state.place == "stylesheet":
            self._end_style()

    # Text

    def _add_bytes(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._bytes += data

    def _flush(self) -> None:
        """Decode the bytes since the last control word: two of them may be one character."""
        if self._bytes:
            text = self._bytes.decode(self._state.codec, errors="replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        state = self._state
        if state.place == "text":
            if not state.hidden and not state.deleted:
                state.builder.add(text)
        elif state.place in self.fields:
            kept = self.fields[state.place] + text
            self.fields[state.place] = kept[:_MAX_FIELD_CHARACTERS]
        elif state.place == "stylesheet":
            self._style.name = (self._style.name + text)[:_MAX_FIELD_CHARACTERS]
        elif state.place == "fonttbl" and ";" in text:
            self._fonts[self._font.number] = self._font.codec
            self._font = _Font()
        elif state.place == "bkmkstart":
            state.builder.add_anchor(text.strip())

    def _add_unicode(self, value: int | None) -> None:
        character = chr((value or 0) & 0xFFFF)
        self._skip = self._state.fallback
        if "\ud800" <= character < "\udc00":
            self._surrogate = character
            return
        pair = (self._surrogate + character).encode("utf-16-le", "surrogatepass")
        self._surrogate = ""
        self._add(pair.decode("utf-16-le", "replace"))

    # Control words

    def _symbol(self, symbol: str) -> None:
        self._flush()
        if self._skip:
            self._skip -= 1
        elif symbol == "*":
            self._optional = True
        elif symbol in "\r\n":
            self._end_paragraph()
        elif symbol in _CHARACTERS:
            self._add(_CHARACTERS[symbol])

    def _control(self, word: str, value: int | None) -> None:
        self._flush()
        optional, self._optional = self._optional, False
        if word == "u":
            self._add_unicode(value)
        elif self._skip:
            self._skip -= 1
        elif word in _SKIPPED or (optional and word not in _KNOWN):
            self._state.place = ""
        elif word in _PLACES:
            self._state.place = word
        elif word in _CHARACTERS:
            self._add(_CHARACTERS[word])
        elif word in _ACTIONS:
            _ACTIONS[word](self, value)

    # Paragraphs

    def _end_paragraph(self, _: int | None = None) -> None:
        if self._state.place == "text":
            self._state.builder.end_block(self._level())

    def _break_line(self, _: int | None) -> None:
        if self._state.place == "text":
            self._state.builder.break_line()

    def _end_cell(self, _: int | None) -> None:
        if self._state.place == "text":
            self._state.builder.end_cell()

    def _begin_note(self, _: int | None) -> None:
        if self._state.place == "text" and self._state.builder is self.builder:
            self._state.builder = ParagraphBuilder()
        else:
            self._state.place = ""

    def _reset_paragraph(self, _: int | None) -> None:
        self._state.level, self._state.style = None, 0

    def _level(self) -> int:
        """The level of the paragraph as a heading; 0 for text."""
        if self._state.level is not None:
            return self._state.level
        number: int | None = self._state.style
        for _ in range(MAX_STYLE_DEPTH):
            style = None if number is None else self._styles.get(number)
            if style is None:
                return 0
            if style.level is not None:
                return style.level
            number = style.base
        return 0

    # Styles

    def _set_style(self, value: int | None) -> None:
        if self._state.place == "stylesheet":
            self._style.number = value or 0
        self._state.style = value or 0

    def _set_level(self, value: int | None) -> None:
        outline_level = value or 0
        level = outline_level + 1 if 0 <= outline_level < _HEADING_LEVELS else 0
        if self._state.place == "stylesheet":
            self._style.level = level
        else:
            self._state.level = level

    def _set_base(self, value: int | None) -> None:
        self._style.base = value

    def _end_style(self) -> None:
        style, self._style = self._style, _Style()
        if style.level is None:
            style.level = named_level(style.name.strip().rstrip(";"))
        self._styles[style.number] = style

    # Characters and their encoding

    def _set_font(self, value: int | None) -> None:
        if self._state.place == "fonttbl":
            self._font.number = value or 0
        else:
            self._state.codec = self._fonts.get(value or 0) or self._document_codec

    def _set_font_charset(self, value: int | None) -> None:
        self._font.codec = _CHARSETS.get(value or 0)

    def _set_code_page(self, value: int | None) -> None:
        with suppress(LookupError):  # of one that we don't know, the character set holds
            self._set_document_codec(codecs.lookup(f"cp{value}").name)

    def _set_document_codec(self, codec: str) -> None:
        self._document_codec = self._state.codec = codec

    def _set_fallback(self, value: int | None) -> None:
        self._state.fallback = min(max(1 if value is None else value, 0), _MAX_FALLBACK)

    def _reset_characters(self, _: int | None) -> None:
        self._state.hidden = self._state.deleted = False
        self._state.codec = self._document_codec

    def _set_hidden(self, value: int | None) -> None:
        self._state.hidden = value != 0

    def _set_deleted(self, value: int | None) -> None:
        self._state.deleted = value != 0

    def _set_language(self, value: int | None) -> None:
        tag = locale.windows_locale.get(value or 0, "").replace("_", "-")
        self.language = self.language or tag


_ACTIONS: dict[str, Callable[[_Reader, int | None], None]] = {
    **dict.fromkeys(("par", "page", "sect", "row", "nestrow"), _Reader._end_paragraph),
    **dict.fromkeys(("cell", "nestcell"), _Reader._end_cell),
    **dict.fromkeys(("line", "column"), _Reader._break_line),
    "ansi": lambda reader, _: reader._set_document_codec("cp1252"),
    "mac": lambda reader, _: reader._set_document_codec("mac_roman"),
    "pc": lambda reader, _: reader._set_document_codec("cp437"),
    "pca": lambda reader, _: reader._set_document_codec("cp850"),
    "footnote": _Reader._begin_note,
    "pard": _Reader._reset_paragraph,
    "plain": _Reader._reset_characters,
    "s": _Reader._set_style,
    "outlinelevel": _Reader._set_level,
    "sbasedon": _Reader._set_base,
    "f": _Reader._set_font,
    "fcharset": _Reader._set_font_charset,
    "ansicpg": _Reader._set_code_page,
    "v": _Reader._set_hidden,
    "deleted": _Reader._set_deleted,
    "uc": _Reader._set_fallback,
    "deflang": _Reader._set_language,
    "lang": _Reader._set_language,
}
